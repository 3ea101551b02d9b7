"""ComfyUI's VIDEO as frames for the VAE: of a file, only what is asked for is decoded, at the size that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import comfy.model_management as management
import torch

from magi_core.errors import MagiError
from magi_core.vae.given import GivenVideo, look_through
from magi_core.vae.prefix import resample
from magi_core.video import Video, exact_fps

from .sound import from_audio

TOLD_EVERY = 24  # pictures


def given_video(
    video: Any, *, width: int, height: int, fit: str, fps: float, tell: Callable[[str], None]
) -> Video | GivenVideo:
    """The frames, with their sound, at `fps`; a file is looked through, and its frames are made when they are encoded,
    at the size and with HDR tone-mapped.

    tell: gets how far reading a file is, in words. Reading stops when the user interrupts.
    """
    part = part_of_file(video)
    if part is None:
        return in_memory(video, fps)
    source, start, seconds = part

    def on_count(count: int) -> None:
        management.throw_exception_if_processing_interrupted()
        if count % TOLD_EVERY == 0:
            tell(f"reading the video: {count} pictures")

    return look_through(
        source, width=width, height=height, fps=fps, policy=fit, start=start, seconds=seconds, on_count=on_count
    )


def part_of_file(video: Any) -> tuple[str | Path, Fraction, Fraction | None] | None:
    """The file, start and length (None: to its end) in seconds, that a VIDEO is; None for one that is in memory, or of
    a ComfyUI that does not tell which part of a file it is."""
    source = video.get_stream_source() if hasattr(video, "get_active_trim_window") else None
    if not isinstance(source, str | Path):
        return None
    start, seconds = video.get_active_trim_window()
    return source, max(Fraction(start), Fraction(0)), Fraction(seconds) or None


def in_memory(video: Any, fps: float) -> Video:
    """A VIDEO that is not part of a file, at `fps`."""
    parts = video.get_components()
    frames, alpha = parts.images, getattr(parts, "alpha", None)
    if alpha is not None:
        frames = torch.cat([frames, alpha.reshape(*frames.shape[:3], 1)], dim=-1)
    lasts = len(frames) / Fraction(parts.frame_rate)
    resampled = resample(frames, parts.frame_rate, fps)
    rate = exact_fps(fps)
    if parts.audio is None:
        return Video(resampled, rate)
    try:
        sound = from_audio(parts.audio, lasts)
    except MagiError as error:
        return Video(resampled, rate, (f"its sound is left out: {error}",))
    return Video(resampled, rate, (), sound.lasting(len(resampled) / rate))
