"""Hours of an artist's day in a real ComfyUI, on nano: `python -m tools.soak --minutes 120`."""
