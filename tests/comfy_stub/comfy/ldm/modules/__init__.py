"""Stand-in for `comfy.ldm.modules`."""
