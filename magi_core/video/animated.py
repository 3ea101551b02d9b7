"""Animated WebP, which FFmpeg does not read: its pictures through Pillow, with the time each is shown."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.images import open_picture, to_rgb

MAX_PIXELS = 4096 * 4096  # of the canvas
HELD = 3 * 4  # bytes of a pixel while the decoder goes on: two canvases and the picture
SHORTEST, USUAL = 11, 100  # milliseconds; below the first, browsers take the second


def is_webp(path: Path) -> bool:
    """Whether the file is a WebP by its content, moving or not."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def webp_frames(path: Path) -> tuple[int, Iterator[tuple[Fraction, Tensor]]]:
    """Bytes that decoding may take, and the pictures: seconds shown, uint8 [H, W, 3], transparency on white.

    Raises `MagiError` for a file that is damaged, too large, or a still picture.
    """
    try:
        picture = open_picture(path, ["WEBP"])
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error
    count, (width, height) = getattr(picture, "n_frames", 1), picture.size
    if count < 2 or width * height > MAX_PIXELS:
        picture.close()
        if count < 2:
            raise MagiError(f"{path} is a still picture: start from it as an image, or give a video")
        raise MagiError(
            f"the pictures of {path} are too large: {width} x {height}, where {MAX_PIXELS / 1e6:.0f} million pixels "
            "are possible. Make it smaller first."
        )
    return width * height * HELD, _frames(picture, path, count)


def _frames(picture: Image.Image, path: Path, count: int) -> Iterator[tuple[Fraction, Tensor]]:
    with picture:
        for index in range(count):
            try:
                picture.seek(index)
                pixels = np.array(to_rgb(picture))
            except (OSError, ValueError, EOFError, MemoryError) as error:
                raise _damaged(path, error) from error
            shown = int(picture.info.get("duration") or 0)
            yield Fraction(shown if shown >= SHORTEST else USUAL, 1000), torch.from_numpy(pixels)


def _damaged(path: Path, error: Exception) -> MagiError:
    return MagiError(f"{path} cannot be read as a video ({echo(error)}): the file is damaged or incomplete")
