"""Where in a video a line of a storyboard is: "3", "0-2", "4s", "4s-6s", or after the line above."""

from __future__ import annotations

import re
from fractions import Fraction

from magi_core.config import MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError, echo
from magi_core.story.chunk import ChunkSpec
from magi_core.video.rate import exact_fps

ALLOWED = "write '3: ...', '0-2: ...' or in seconds '4s-6s: ...'"
_NUMBER = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([sS]?)")


class Placing:
    """Puts what lines say at their chunks, in the order the lines are written in.

    fps: of the finished video; a chunk lasts 24 / fps seconds. said: by chunk, the line and what happens.
    """

    def __init__(self, fps: float | Fraction) -> None:
        self.said: dict[int, tuple[str, ChunkSpec]] = {}
        self.following = 0
        exact_fps(fps)  # a rate that can be
        self._chunk_seconds = VIDEO_FRAMES_PER_CHUNK / Fraction(fps)

    def place(self, where: str, place: str | None) -> tuple[int, int]:
        """First and last chunk of a place; None is the chunk after the line before. `MagiError` for no place."""
        first, last = (self.following, self.following) if place is None else _chunks(place, where, self._chunk_seconds)
        if last >= MAX_CHUNKS:
            raise MagiError(f"{where}: chunk {last} is too far out; at most {MAX_CHUNKS} chunks are possible")
        return first, last

    def add(self, where: str, place: str | None, story: ChunkSpec) -> tuple[int, int]:
        """Say `story` at `place`; its first and last chunk. `MagiError` as `place`, and where something is said."""
        first, last = self.place(where, place)
        going_on = story.going_on
        for chunk in range(first, last + 1):
            if chunk in self.said:
                raise MagiError(f"{where}: chunk {chunk} already has a prompt ({self.said[chunk][0]}); one is possible")
            self.said[chunk] = (where, story if chunk == first else going_on)
        self.following = last + 1
        return first, last


def place_in_words(first: int, last: int) -> str:
    """The same as it is typed: "3" or "0-2"."""
    return f"{first}" if first == last else f"{first}-{last}"


def _chunks(place: str, where: str, chunk_seconds: Fraction) -> tuple[int, int]:
    """First and last chunk (inclusive) of "3", "0-2", "4s" or "4s-6s"."""
    place = place.strip()
    ends = place.split("-", maxsplit=2)
    numbers = [number for end in ends if (number := _NUMBER.fullmatch(end.strip()))]
    if len(ends) > 2 or len(numbers) < len(ends):
        raise MagiError(f"{where}: {echo(place)} is no place in the video: {ALLOWED}")
    values, units = [Fraction(n[1]) for n in numbers], {n[2].lower() for n in numbers}
    if len(units) > 1:
        raise MagiError(f"{where}: {echo(place)} mixes chunks and seconds: write both ends as '4-6' or both as '4s-6s'")
    first, last = values[0], values[-1]
    if len(values) == 2 and last < first:
        low, high = (n[0] for n in reversed(numbers))
        raise MagiError(f"{where}: {echo(place)} runs backwards: write {echo(f'{low}-{high}')}")
    if units == {""}:
        for value in values:
            if value.denominator != 1:
                raise MagiError(
                    f"{where}: chunks are whole numbers: {echo(place)}; for seconds write {echo(place + 's')}"
                )
        return int(first), int(last)
    for value in values:
        if (value / chunk_seconds).denominator != 1:
            below = value // chunk_seconds * chunk_seconds
            raise MagiError(
                f"{where}: a prompt lasts whole chunks of {_seconds(chunk_seconds)}: {_seconds(value)} -> use "
                f"{_seconds(below)} or {_seconds(below + chunk_seconds)}"
            )
    start = int(first / chunk_seconds)
    stop = int(last / chunk_seconds) if len(values) == 2 else start + 1
    if stop == start:
        raise MagiError(f"{where}: {echo(place)} is empty: it ends where it starts")
    return start, stop - 1


def _seconds(value: Fraction) -> str:
    return f"{float(value):.4g}s"
