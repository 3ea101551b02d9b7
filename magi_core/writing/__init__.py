"""Writing files: one writer a name, whole or not at all, and what went wrong in words."""
