"""Sampling: timesteps, the window plan, guidance, and the loop that joins them."""

from magi_core.sampling.loop import Run, StepEvent

__all__ = ["Run", "StepEvent"]
