"""How a chunk follows the ones before it: its KV ranges."""

from __future__ import annotations

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError, echo

TRANSITIONS = ("continue", "new_shot", "restyle", "cut")
ELSEWHERE = ("cut", "new_shot")
"""Those by which a chunk may begin elsewhere than the one before it ends, and look otherwise."""


def transition_ranges(transition: str, kv_ranges: tuple[int, ...]) -> tuple[int, ...] | None:
    """KV ranges of a chunk that follows by `transition`, where the settings' table is `kv_ranges`; None: the settings'.

    new_shot: alone while noisy, so the layout is new and identities stay. restyle: alone while nearly clean, so the
    layout stays and details are new. cut: alone throughout, nothing stays. A table of odd length keeps its middle.
    Raises `MagiError` where the table has no two halves. Source: MAGI-1 report, shot transitions.
    """
    if transition not in TRANSITIONS:
        raise MagiError(f"unknown transition {echo(transition)}: use {', '.join(TRANSITIONS)}")
    if transition == "continue":
        return None
    if transition == "cut":
        return (1,) * max(1, len(kv_ranges))
    half = len(kv_ranges) // 2
    if not half:
        given = "only one KV range" if kv_ranges else "no KV ranges (every chunk sees the whole history)"
        raise MagiError(
            f"'{transition}' changes half of a chunk's KV ranges, but the settings have {given}: give at least two, "
            "such as 5, 4, 3, 2, or use 'cut'"
        )
    alone = (1,) * half
    return alone + kv_ranges[half:] if transition == "new_shot" else kv_ranges[:-half] + alone


def chunk_ranges(transition: str, own: tuple[int, ...] | None, settings: SamplingSettings) -> tuple[int, ...] | None:
    """KV ranges of one chunk in place of the settings', or None: by its transition, or else its `own`.

    Raises `MagiError` for ranges that cannot share the steps, or reach further back than the settings' table does: a
    chunk's cost and the finished chunks a run reads stay what they are.
    """
    if transition != "continue" or own is None:
        return transition_ranges(transition, settings.kv_ranges)
    if settings.steps % len(own):
        lengths = [n for n in range(1, 2 * len(own)) if settings.steps % n == 0]
        raise MagiError(
            f"{len(own)} KV ranges cannot share {settings.steps} steps evenly: give {' or '.join(map(str, lengths))}"
        )
    if settings.kv_ranges and max(own) > max(settings.kv_ranges):
        raise MagiError(
            f"a KV range of {max(own)} reaches further back than the settings allow: use at most "
            f"{max(settings.kv_ranges)}, or raise the settings' KV ranges"
        )
    return own
