"""ComfyUI's VIDEO or IMAGE as the source of a second pass: a take that was only given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import comfy.model_management as management
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.vae import VAE as Codec
from magi_core.vae.source import EncodedVideo, encode_pictures, encode_source
from magi_core.video import exact_fps
from magi_core.video.files import sound_of
from magi_core.video.images import noted_frames
from magi_core.video.sound import Sound

from .vae import PlacedVAE
from .video import in_memory, part_of_file

TOLD_EVERY = 24  # pictures


@dataclass(frozen=True)
class Wanted:
    """How a video is brought to what the model makes: pixels, what becomes of other shapes, frames per second."""

    width: int
    height: int
    fit: str
    fps: float


def encoded_take(
    engine: Engine,
    vae: PlacedVAE,
    wanted: Wanted,
    *,
    video: Any = None,
    images: Tensor | None = None,
    tell: Callable[[str], None],
) -> tuple[SamplerState, tuple[str, ...]]:
    """The take that a VIDEO, or a batch of images, is as it was given, with its sound; and what was done to it.

    Of a file no more than one chunk of frames is in memory. tell: gets how far it is, in words. Stops when the user
    interrupts. Raises `MagiError` for one image, and for a VAE that does not fit the engine.
    """
    vae.codec.check_channels(engine.dit.config.latent_channels)
    with vae.working(VIDEO_FRAMES_PER_CHUNK, wanted.width, wanted.height) as codec:
        found, sound, more = (
            _of_video(codec, video, wanted, tell) if images is None else _of_images(codec, images, wanted)
        )
    given = engine.begin(width=wanted.width, height=wanted.height, fps=wanted.fps, prefix=found.latents)
    given = replace(given, end=found.frames, sound=sound, vae=codec.identity or given.vae)
    return given, (*found.notes, *more)


def _of_video(
    codec: Codec, video: Any, wanted: Wanted, tell: Callable[[str], None]
) -> tuple[EncodedVideo, Sound | None, tuple[str, ...]]:
    width, height = wanted.width, wanted.height
    part = part_of_file(video)
    if part is None:
        read = in_memory(video, wanted.fps)
        frames, notes = noted_frames(read.frames)
        found = encode_pictures(codec, _watched(frames), width=width, height=height, policy=wanted.fit)
        return found, read.sound, (*read.notes, *notes)
    path, start, seconds = part

    def on_count(count: int) -> None:
        management.throw_exception_if_processing_interrupted()
        if count % TOLD_EVERY == 0:
            tell(f"encoding the video: {count} pictures")

    found = encode_source(
        codec,
        path,
        width=width,
        height=height,
        fps=wanted.fps,
        policy=wanted.fit,
        start=start,
        seconds=seconds,
        on_count=on_count,
    )
    sound, silent = sound_of(Path(path), start, Fraction(found.frames) / exact_fps(wanted.fps))
    return found, sound, tuple(silent)


def _of_images(codec: Codec, images: Tensor, wanted: Wanted) -> tuple[EncodedVideo, None, tuple[str, ...]]:
    if len(images) < 2:
        raise MagiError(
            "one image is no video: connect as many as the video has frames, or begin with it in Magi Chunk Sampler "
            "(Magi VAE Encode, prefix)"
        )
    frames, notes = noted_frames(images, "images")
    found = encode_pictures(
        codec, _watched(frames), width=wanted.width, height=wanted.height, policy=wanted.fit, what="the batch"
    )
    return found, None, tuple(notes)


def _watched(frames: Tensor) -> Iterator[Tensor]:
    """Frames one by one, until the user interrupts."""
    for frame in frames:
        management.throw_exception_if_processing_interrupted()
        yield frame
