"""Attention backends behind one function, and the choice among them."""
