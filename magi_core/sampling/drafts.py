"""Drafts: a chunk is looked at every other step, and goes on in between as it went.

What a picture shows is decided early on its way from noise: a light draft looks at every step there, a strong one does
not. Noisier chunks that attend to one that is held read the K/V of its last look; it is in no forward itself.

Which steps those are is fixed by the settings alone, never by what comes out. So a plan's price is what is spent, the
same on every machine; no chunk depends on what comes after it; and a frontier holds what it always held, because the
first step of every stage is looked at. A second pass is made whole. What drafts save and cost: benchmarks/drafts.py.
"""

from __future__ import annotations

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError

EARLY = 0.25  # part of the way from noise to clean, in steps, in which a light draft makes every look


def carried_to(step: int, release: int | None, settings: SamplingSettings) -> int | None:
    """The Euler step to which the velocity of a chunk at `step` carries it; None where it is not looked at: before its
    `release` (None: throughout), and where a draft holds it."""
    if release is None or step < release:
        return None
    if release or settings.draft == "off":
        return step + 1
    if _held(step, settings):
        return None
    until = step + 1
    while until < settings.steps and _held(until, settings):
        until += 1
    return until


def _held(step: int, settings: SamplingSettings) -> bool:
    early = settings.draft == "light" and step < EARLY * settings.steps
    return not early and step % (settings.steps // settings.window) % 2 == 1


def pages_held(settings: SamplingSettings, distill: bool) -> int:
    """K/V pages of held chunks that a stage keeps, at most; guided models have them once for each pass that reads."""
    if settings.draft != "light":  # where all are held together, nobody reads
        return 0
    return (settings.window - 1) * (1 if distill else 2)


def check_draft(settings: SamplingSettings, distill: bool) -> None:
    """Raise `MagiError` where there is no step to leave out, or what a held chunk is read by was not computed."""
    if settings.draft == "off":
        return
    if settings.steps < 2 * settings.window:
        raise MagiError(
            f"a draft leaves steps out between two chunks that enter, and {settings.steps} steps with a window of "
            f"{settings.window} have one: use {2 * settings.window} steps or more, or no draft"
        )
    text = [scale != 0 for scale in settings.guidance.text]
    if not distill and sorted(text, reverse=True) != text:
        raise MagiError("a draft needs text guidance that does not begin again once it is 0: use other scales")
