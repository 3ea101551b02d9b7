"""Small pictures of chunks: a JPEG of at most 32 kB, whatever the size of the video."""

from __future__ import annotations

import io

from PIL import Image
from torch import Tensor

from .events import STILL_BYTES

SIDE = 192  # pixels, at most
QUALITIES = (80, 50, 20)


def jpeg_of(picture: Tensor) -> bytes:
    """A JPEG of uint8 [h, w, 3], made smaller where it is larger than `SIDE`."""
    image = Image.fromarray(picture.cpu().numpy())
    image.thumbnail((SIDE, SIDE))
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= STILL_BYTES:
            break
    return file.getvalue()
