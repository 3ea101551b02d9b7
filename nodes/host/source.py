"""ComfyUI's VIDEO or IMAGE as the source of a second pass: a take that was only given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.vae.given import GivenVideo, given_frames
from magi_core.vae.source import encode_source

from .vae import PlacedVAE
from .video import counted, given_video


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
    width, height = wanted.width, wanted.height
    given: GivenVideo
    if images is None:
        given = given_video(video, width=width, height=height, fit=wanted.fit, fps=wanted.fps, tell=tell)
    else:
        given = _batch(images, wanted)
    with vae.working(VIDEO_FRAMES_PER_CHUNK, width, height) as codec:
        latents, notes = encode_source(codec, given, counted(tell, "encoding"))
    take = engine.begin(width=width, height=height, fps=wanted.fps, prefix=latents)
    take = replace(take, end=len(given), sound=given.sound, vae=codec.identity or take.vae)
    return take, (*given.notes, *notes)


def _batch(images: Tensor, wanted: Wanted) -> GivenVideo:
    if len(images) < 2:
        raise MagiError(
            "one image is no video: connect as many as the video has frames, or begin with it in Magi Chunk Sampler "
            "(Magi VAE Encode, prefix)"
        )
    return given_frames(images, width=wanted.width, height=wanted.height, policy=wanted.fit, name="batch of images")
