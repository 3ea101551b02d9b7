"""Inputs nobody would write, given to every reader: each is read, or refused in words, in bounded time and memory.

`python -m tools.fuzz TARGET --minutes N`. `targets`: what is read; `mutate`: how inputs are made; `hunt`: what counts
as a finding.
"""
