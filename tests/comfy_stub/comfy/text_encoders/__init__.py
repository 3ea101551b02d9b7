"""Stand-in for `comfy.text_encoders`."""
