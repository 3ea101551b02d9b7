"""The shipped workflows and their pictures, made with ComfyUI's own frontend."""
