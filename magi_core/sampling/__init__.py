"""Sampling: what an extend is, timesteps, the window plan, guidance, and the loop that joins them."""
