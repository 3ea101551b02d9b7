"""The pack inside a real ComfyUI on a GPU, on a machine that has neither ComfyUI nor a network: see `__main__`."""
