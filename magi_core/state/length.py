"""Lengths in seconds: how many chunks they take, and where in the last chunk the video ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.video.rate import exact_fps

if TYPE_CHECKING:
    from magi_core.state import SamplerState


def chunks_for(state: SamplerState, seconds: float) -> tuple[int, int]:
    """Chunks to add to `state` for `seconds` more of video, and the number of frames the video then has.

    A given video is not counted as new, a given image is: it is the first frame. Raises `MagiError` for less than one
    frame.
    """
    fps = exact_fps(state.fps)
    new = round(seconds * fps)
    if new < 1:
        raise MagiError(
            f"{seconds:g} seconds are less than a frame at {float(fps):g} fps: use {float(1 / fps):.3f} or more"
        )
    if state.next_chunk > state.first_chunk:
        before = state.next_chunk * VIDEO_FRAMES_PER_CHUNK
    else:
        before = 0 if state.prefix_latent_frames == 1 else state.prefix_frames
    frames = before + new
    return max(1, -(-frames // VIDEO_FRAMES_PER_CHUNK) - state.next_chunk), frames
