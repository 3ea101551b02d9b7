"""Stand-in for `comfy.ldm`."""
