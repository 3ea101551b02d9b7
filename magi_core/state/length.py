"""How long an extend is: chunks, seconds, a storyboard and an announced length may all say something.

Seconds decide where they are given. Otherwise it is the storyboard's length, or `chunks` where that is more: its last
prompt goes on. `total_chunks` announces a length to the model and makes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from magi_core.config import MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError, echo
from magi_core.video.rate import exact_fps

if TYPE_CHECKING:
    from magi_core.state import SamplerState


@dataclass(frozen=True)
class Length:
    """chunks: to add. end: frames that the video then has; None: with its last chunk. notes: what decided."""

    chunks: int
    end: int | None
    notes: tuple[str, ...]


def agreed_length(state: SamplerState, chunks: int, told: int | None, seconds: float) -> Length:
    """What is added to `state`, by the rule of this module. told: length of the storyboard, or None for one prompt.

    seconds: 0 where none are given. Raises `MagiError` as `chunks_for` does, and for more chunks than
    can be made at a time.
    """
    end, notes = None, []
    if seconds:
        count, end = chunks_for(state, seconds)
        if told is not None and told != count:
            rest = "the rest is left out" if told > count else "its last prompt goes on"
            notes.append(f"seconds decides: {count} chunks, where the storyboard has {told}; {rest}")
        if chunks not in (1, count):
            notes.append(f"seconds decides: {count} chunks, whatever chunks says ({chunks})")
    else:
        count = possible_count(max(chunks, told or 1))
        if told is not None and 1 < chunks < told:
            notes.append(f"the storyboard decides: its {told} chunks are made, chunks says {chunks}")
        elif told is not None and chunks > told:
            notes.append(f"chunks decides: {chunks}, where the storyboard has {told}; its last prompt goes on")
    after = state.next_chunk - state.first_chunk + count
    if state.total_chunks is not None and after > state.total_chunks:
        notes.append(
            f"total_chunks announces {state.total_chunks} chunks, and this makes {after}: each one beyond is told "
            "to be the last. Set it to the length of the whole video, or to 0"
        )
    return Length(count, end, tuple(notes))


def chunks_for(state: SamplerState, seconds: float) -> tuple[int, int]:
    """Chunks to add to `state` for `seconds` more of video, and the number of frames the video then has.

    A given video is not counted as new, a given image is: it is the first frame. Raises `MagiError` for less than one
    frame.
    """
    fps = exact_fps(state.fps)
    if not (math.isfinite(seconds) and seconds > 0):
        raise MagiError(f"seconds must be a number above 0, such as 2.5: {seconds}")
    new = round(Fraction(seconds) * fps)
    if new < 1:
        raise MagiError(
            f"{seconds:g} seconds are less than a frame at {float(fps):g} fps: use {float(1 / fps):.3f} or more"
        )
    if state.next_chunk > state.first_chunk:
        before = state.next_chunk * VIDEO_FRAMES_PER_CHUNK - state.filled
    else:
        before = 0 if state.prefix_latent_frames == 1 else state.prefix_frames
    frames = before + new
    return possible_count(max(1, -(-(state.filled + frames) // VIDEO_FRAMES_PER_CHUNK) - state.next_chunk)), frames


def possible_count(chunks: int) -> int:
    """`chunks`, if so many can be made at a time; asked before anything is made of that size."""
    if chunks > MAX_CHUNKS:
        raise MagiError(f"{echo(chunks)} chunks are too many: at most {MAX_CHUNKS:,} at a time, extend goes on")
    return chunks
