"""Drafts: a chunk that is free goes on at some steps as it went at the step before, without being looked at.

Which steps those are is fixed by the settings alone, never by what comes out. So a plan's price is what is spent, the
same on every machine; no chunk depends on which others are in flight; and a frontier holds what it always held, because
the first step of every stage is looked at. What that saves, and what it costs in likeness: benchmarks/drafts.py.
"""

from __future__ import annotations

from magi_core.config import SamplingSettings

EARLY = 0.75  # part of the way from noise to clean, in steps, in which "light" holds


def carried_to(step: int, release: int | None, settings: SamplingSettings) -> int | None:
    """The Euler step to which the velocity of a chunk at `step` carries it; None where that is not asked for: before
    its `release` (None: throughout), and where a draft holds it."""
    if release is None or step < release:
        return None
    per_stage = settings.steps // settings.window
    begins = max(step - step % per_stage, release)  # nothing to go by before
    if step > begins and _held(step, settings):
        return None
    until = step + 1
    while until % per_stage and _held(until, settings):
        until += 1
    return until


def _held(step: int, settings: SamplingSettings) -> bool:
    """Whether `settings` leave this step out: every other one of a stage, in a light draft not on the last quarter."""
    if settings.draft == "off" or step % (settings.steps // settings.window) % 2 == 0:
        return False
    return settings.draft == "strong" or step < EARLY * settings.steps
