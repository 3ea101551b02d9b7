"""ComfyUI's hands: devices, weights, folders."""
