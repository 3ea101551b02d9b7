"""A take at another size, to be made from in a second pass."""

from __future__ import annotations

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from magi_core.config import PIXELS_PER_LATENT
from magi_core.digest import digest
from magi_core.state.describe import left_in_flight
from magi_core.state.state import SamplerState
from magi_core.video.size import check_size

SHARP = 0.3  # from this strength on what is made of resized latents is a sharp picture


def resized(take: SamplerState, width: int, height: int) -> SamplerState:
    """`take` with its latents, given ones too, brought to `width` x `height` pixels, multiples of 16.

    Not a picture to look at: latents between two of an autoencoder's are not what it would make of a larger picture. As
    a source they hold layout and motion, and what a strength of .3 or more makes anew is sharp. Chunks in flight are
    left out. `resizing_in_words` says both. Raises `MagiError` for sizes that cannot be.
    """
    check_size(width, height)
    if (width, height) == (take.width, take.height):
        return take
    size = height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT

    def key(of: str) -> str:
        return digest("resized", *size, of)

    chunks = tuple(
        replace(
            record,
            at=replace(record.at, key=key(record.key)),
            latent=resized_latents(record.latent, *size),
            flown="" if not record.flown else key(record.flown),
        )
        for record in take.chunks
    )
    prefix = None if take.prefix is None else resized_latents(take.prefix[0], *size)[None]
    return replace(
        take.at(take.finished),
        width=width,
        height=height,
        chunks=chunks,
        prefix=prefix,
        prefix_key="" if prefix is None else key(take.prefix_key),
        frontier=None,
        frontiers=(),
        end=take.end,
    )


def resizing_in_words(take: SamplerState, width: int, height: int, strength: float) -> tuple[str, ...]:
    """What is done to `take` before it is made anew by `strength` at `width` x `height`; nothing at its own size."""
    if (width, height) == (take.width, take.height):
        return ()
    note = f"the take's latents are brought from {take.width}x{take.height} to {width}x{height}"
    if strength < SHARP:
        note += f": resized latents are no sharp picture, which a strength of {SHARP:g} or more makes of them"
    return note, *left_in_flight(take)


def resized_latents(latents: Tensor, rows: int, columns: int) -> Tensor:
    """Latents [C, T, h, w] as [C, T, rows, columns]: every frame and channel by itself, bicubic (a = -.5, as in
    Pillow), over the whole area of a new latent where there are fewer of them."""
    frames = latents.movedim(1, 0)  # [T, C, h, w]
    made = F.interpolate(frames, (rows, columns), mode="bicubic", align_corners=False, antialias=True)
    return made.movedim(0, 1).contiguous()
