"""Retouching: chunks in the middle of a take made anew, those after them kept bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from magi_core.config import is_whole
from magi_core.errors import MagiError, echo
from magi_core.state import SamplerState
from magi_core.story.chunk import checked_strength
from magi_core.story.direction import Direction, spec_of, with_spec

MOST_JOINING = 3


def check_span(first: int, last: int, join: int) -> None:
    """Raise `MagiError` where there are no chunks from `first` to `last`, or fewer than `join`."""
    if last < first:
        raise MagiError(f"cannot retouch chunks {first} to {last}: the last of them comes before the first")
    most = min(MOST_JOINING, last + 1 - first)
    if not 0 <= join <= most:
        raise MagiError(
            f"join is at most {MOST_JOINING}, and no more chunks than are retouched: {join} -> use {most} or less"
        )


def check_places(take: SamplerState, first: int, last: int, join: int) -> None:
    """Raise `MagiError` where chunks `first` to `last` are not all `take`'s own, or fewer than `join`."""
    check_span(first, last, join)
    if not take.chunks:
        raise MagiError("this take has no finished chunk of its own that could be retouched")
    if not take.first_chunk <= first <= last < take.finished:
        raise MagiError(
            f"cannot retouch chunks {first} to {last}: the take's own are {take.first_chunk} to {take.finished - 1}"
        )


def retouched(
    take: SamplerState, directions: Sequence[Direction], first: int, strength: float, join: int
) -> list[Direction]:
    """What is said of chunk `first` of `take` and all after it, where `directions` say what becomes of it and the next.

    strength: of those that say none. join: how many of them, at their end, come ever closer to
    the take, so that what is kept after them follows on: of 2 the last has a third of its strength, the one before it
    two thirds.
    Raises `MagiError` for chunks that the take does not have, and for numbers that are none.
    """
    strength = checked_strength(strength)
    for name, number in (("first", first), ("join", join)):
        if not is_whole(number):
            raise MagiError(f"{name} of a retouch must be a whole number: {echo(number)}")
    last = first + len(directions) - 1
    check_places(take, first, last, join)
    told = []
    for index, direction in enumerate(directions, start=first):
        spec = spec_of(direction)
        own = strength if spec.strength is None else spec.strength
        share = min(1.0, (last + 1 - index) / (join + 1)) if last + 1 < take.finished else 1.0
        told.append(with_spec(direction, replace(spec, strength=own * share)))
    kept = [replace(record.spec, strength=0.0) for record in take.chunks[last + 1 - take.first_chunk :]]
    return [*told, *kept]
