"""Sampling settings and special tokens as options of the command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any

from magi_core.config import Guidance, SamplingSettings
from magi_core.errors import MagiError, echo

# Switch -> (special token, help). The first group is prepended to every prompt, the second to the null text.
PROMPT_TOKENS = {
    "still-start": ("STATIC_FIRST_FRAMES", "ask for a start without motion"),
    "moving-start": ("DYNAMIC_FIRST_FRAMES", "ask for motion from the first frame on"),
    "look-3d": ("THREE_D_MODEL", "ask for the look of a rendered 3-D model"),
    "look-2d-anime": ("TWO_D_ANIME", "ask for the look of 2-D animation"),
    "borders": ("BORDERNESS", "ask for black borders around the picture"),
}
AVOID_TOKENS = {
    "avoid-captions": ("CAPTION", "steer away from burnt-in captions"),
    "avoid-logos": ("LOGO", "steer away from logos and watermarks"),
    "avoid-cuts": ("TRANS", "steer away from cuts and transitions"),
    "avoid-borders": ("BORDERNESS", "steer away from black borders"),
}


def setting_changes(options: argparse.Namespace) -> dict[str, Any]:
    """The sampling settings that were given, checked as far as they can be without knowing the model."""
    names = ("steps", "nearly_clean_blend", "window", "clean_kv_range", "shortcut", "draft")
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.kv_ranges is not None:
        changes["kv_ranges"] = _kv_ranges(options.kv_ranges)
    if not 0 <= changes.get("nearly_clean_blend", 0) <= 1:
        raise MagiError(f"--nearly-clean-blend must lie between 0 and 1: {options.nearly_clean_blend}")
    changes |= _token_changes(options)
    steps = math.lcm(changes.get("window", 1) or 1, len(changes.get("kv_ranges", ())) or 1, 4)
    SamplingSettings().with_changes(**{"steps": steps, **changes})
    return changes


def guidance_scales(options: argparse.Namespace) -> dict[str, float]:
    """The guidance scales that were given, by their name in `Guidance.simple`."""
    names = {
        "text": "text_guidance",
        "previous": "previous_guidance",
        "text_late": "text_guidance_late",
        "previous_late": "previous_guidance_late",
    }
    scales = {name: getattr(options, option) for name, option in names.items() if getattr(options, option) is not None}
    for name, value in scales.items():
        if not math.isfinite(value):
            raise MagiError(f"--{names[name].replace('_', '-')} must be a finite number such as 7.5: {value}")
    return scales


def with_scales(guidance: Guidance, scales: Mapping[str, float]) -> Guidance:
    """`guidance` with some scales replaced, in two levels, below 30% denoised and from there on; as it is without."""
    if not scales:
        return guidance
    usual = {
        "text": guidance.text[0],
        "previous": guidance.previous[0],
        "text_late": guidance.text[-1],
        "previous_late": guidance.previous[-1],
    }
    return Guidance.simple(**{**usual, **scales})


def _token_changes(options: argparse.Namespace) -> dict[str, Any]:
    wanted = [token for switch, (token, _) in PROMPT_TOKENS.items() if _on(options, switch)]
    avoided = [token for switch, (token, _) in AVOID_TOKENS.items() if _on(options, switch)]
    if options.no_special_tokens:
        if wanted or avoided:
            raise MagiError(
                "--no-special-tokens leaves no room for other special token switches: drop one or the other"
            )
        return {"special_tokens": (), "negative_tokens": (), "duration_tokens": False}
    if options.still_start and options.moving_start:
        raise MagiError("--still-start and --moving-start contradict each other: drop one")
    changes: dict[str, Any] = {}
    if wanted or options.no_hq:
        changes["special_tokens"] = (*wanted, *(() if options.no_hq else ("HQ",)))
    if avoided:
        changes["negative_tokens"] = tuple(avoided)
    if options.no_duration_tokens:
        changes["duration_tokens"] = False
    return changes


def _on(options: argparse.Namespace, switch: str) -> bool:
    return getattr(options, switch.replace("-", "_"))


def _kv_ranges(text: str) -> tuple[int, ...]:
    if text.strip() == "all":
        return ()
    try:
        ranges = tuple(int(word) for word in text.replace(",", " ").split())
    except ValueError:
        ranges = ()
    if not ranges:
        raise MagiError(f"--kv-ranges must be whole numbers such as 5,4,3,2, or 'all': {echo(text)}")
    return ranges
