"""Stand-in for `comfy.lora_convert`: LoRAs are tried in the real ComfyUI."""
