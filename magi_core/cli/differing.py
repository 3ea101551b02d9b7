"""Saying that a take is gone on with, or retouched, otherwise than it was made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from magi_core.cli.say import say
from magi_core.config import SamplingSettings
from magi_core.sampling.handoff import differences
from magi_core.state import SamplerState


def warn_of_differences(engine: Any, state: SamplerState, settings: SamplingSettings, source: Path) -> None:
    """Say what differs from how the take was made; with other weights, also what this model is usually sampled with."""
    differs = differences(engine, state, settings)
    if differs:
        say(f"warning: not as {source} was made: {'; '.join(differs)}", error=True)
    if state.fingerprint != engine.fingerprint:
        say(f"  fingerprint of the weights: {state.fingerprint or 'unknown'}, now {engine.fingerprint}", error=True)
        own, used = asdict(engine.settings), asdict(settings)
        for name in (name for name in own if own[name] != used[name]):
            label = name.replace("_", " ")
            say(f"  {label}: {used[name]}, as in the take; this model's own is {own[name]}", error=True)
