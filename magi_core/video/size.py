"""Sizes of a video that can be: both sides multiples of 16 pixels, and none beyond belief."""

from __future__ import annotations

from magi_core.config import PIXELS_PER_LATENT, is_whole
from magi_core.errors import MagiError, echo

SIZE_MULTIPLE = PIXELS_PER_LATENT * 2
MAX_SIDE = 16_384


def check_size(width: int, height: int) -> None:
    """Raise `MagiError` unless both sides are multiples of 16 pixels."""
    check_side("width", width)
    check_side("height", height)


def check_side(name: str, pixels: int) -> None:
    """Raise `MagiError` unless one side, called `name`, is a multiple of 16 pixels."""
    if not is_whole(pixels) or pixels > MAX_SIDE:
        raise MagiError(f"{name} must be a whole number of at most {MAX_SIDE:,} pixels: {echo(pixels)}")
    if pixels < SIZE_MULTIPLE or pixels % SIZE_MULTIPLE:
        below = pixels // SIZE_MULTIPLE * SIZE_MULTIPLE
        use = f"{below} or {below + SIZE_MULTIPLE}" if below >= SIZE_MULTIPLE else f"{SIZE_MULTIPLE}"
        raise MagiError(f"{name} must be a multiple of {SIZE_MULTIPLE}: {pixels} -> use {use}")
