"""ComfyUI's VIDEO as frames for the VAE: of a file, only what is asked for is decoded, at the size that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import comfy.model_management as management
import torch

from magi_core.errors import MagiError
from magi_core.vae.given import GivenFrames, GivenVideo, given_frames, look_through
from magi_core.vae.prefix import resample
from magi_core.video import exact_fps
from magi_core.video.frame_source import OnCount

from .sound import from_audio

TOLD_EVERY = 24  # pictures


def given_video(
    video: Any, *, width: int, height: int, fit: str, fps: float, tell: Callable[[str], None]
) -> GivenVideo:
    """The video at a size and at `fps`, with its sound; a file is looked through, its frames are made when they are
    encoded, and HDR is tone-mapped.

    tell: gets how far reading a file is, in words. Reading stops when the user interrupts.
    """
    part = part_of_file(video)
    if part is None:
        return _in_memory(video, fps, width, height, fit)
    source, start, seconds = part
    return look_through(
        source,
        width=width,
        height=height,
        fps=fps,
        policy=fit,
        start=start,
        seconds=seconds,
        on_count=counted(tell, "reading"),
    )


def counted(tell: Callable[[str], None], doing: str) -> OnCount:
    """What is told of every picture of a video that is read or encoded: it tells how far that is, in words, and stops
    it when the user interrupts."""

    def on_count(count: int) -> None:
        management.throw_exception_if_processing_interrupted()
        if count % TOLD_EVERY == 0:
            tell(f"{doing} the video: {count} pictures")

    return on_count


def part_of_file(video: Any) -> tuple[str | Path, Fraction, Fraction | None] | None:
    """The file, start and length (None: to its end) in seconds, that a VIDEO is; None for one that is in memory, or of
    a ComfyUI that does not tell which part of a file it is."""
    source = video.get_stream_source() if hasattr(video, "get_active_trim_window") else None
    if not isinstance(source, str | Path):
        return None
    start, seconds = video.get_active_trim_window()
    return source, max(Fraction(start), Fraction(0)), Fraction(seconds) or None


def _in_memory(video: Any, fps: float, width: int, height: int, fit: str) -> GivenFrames:
    """A VIDEO that is not part of a file."""
    parts = video.get_components()
    frames, alpha = parts.images, getattr(parts, "alpha", None)
    if alpha is not None:
        frames = torch.cat([frames, alpha.reshape(*frames.shape[:3], 1)], dim=-1)
    lasts = len(frames) / Fraction(parts.frame_rate)
    given = given_frames(resample(frames, parts.frame_rate, fps), width=width, height=height, policy=fit)
    if parts.audio is None:
        return given
    try:
        sound = from_audio(parts.audio, lasts)
    except MagiError as error:
        return replace(given, notes=(f"its sound is left out: {error}", *given.notes))
    return replace(given, sound=sound.lasting(len(given) / exact_fps(fps)))
