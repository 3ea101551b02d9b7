"""From a given video to the latents of a source: whole chunks, of which one is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from magi_core.config import MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae.encoding import encode_pictures
from magi_core.vae.given import GivenVideo
from magi_core.video.frame_source import OnCount

if TYPE_CHECKING:
    from magi_core.vae import VAE


def encode_source(vae: VAE, given: GivenVideo, on_count: OnCount | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Latents [1, C, 6 n, height / 8, width / 8] of a video that is made anew, and what was done to it: repeats of its
    last frame fill its last chunk. on_count: as for `given.pictures`."""
    if len(given) > MAX_CHUNKS * VIDEO_FRAMES_PER_CHUNK:
        raise MagiError(f"{given} is too long: a take has up to {MAX_CHUNKS:,} chunks. Cut it into parts")
    missing = -len(given) % VIDEO_FRAMES_PER_CHUNK
    note = f"the last frame is repeated to fill its chunk of {VIDEO_FRAMES_PER_CHUNK}, and shown once"
    return encode_pictures(vae, _filled(given.pictures(on_count), missing)), (note,) if missing else ()


def _filled(pictures: Iterator[Tensor], missing: int) -> Iterator[Tensor]:
    """The pictures and `missing` repeats of the last one."""
    for picture in pictures:
        yield picture
    for _ in range(missing):
        yield picture
