"""A real ComfyUI for tests, scripts and tools: found, installed, started, and driven in a browser."""
