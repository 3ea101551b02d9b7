"""Pure tensor functions between matrix products, and their compilation."""
