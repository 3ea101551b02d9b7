"""Stand-in for `comfy.lora`: LoRAs are tried in the real ComfyUI."""
