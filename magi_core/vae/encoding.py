"""Encoding a given video, a chunk of its frames at a time. Chunks that were encoded before are not encoded again: a run
that was broken off, or is asked for with another strength or other words, does not wait for the encoder twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magi_core.config import FRAMES_PER_LATENT, VIDEO_FRAMES_PER_CHUNK
from magi_core.digest import digest
from magi_core.weights.kept import KeptTensors

if TYPE_CHECKING:
    from magi_core.vae import VAE

VIDEOS = KeptTensors("videos", 1 << 31, "an encoded video")  # 6 minutes at 1280x720, 11 at 720x720


TIDIED_EVERY = 32  # chunks


def encode_pictures(vae: VAE, pictures: Iterable[Tensor], first: int = VIDEO_FRAMES_PER_CHUNK) -> Tensor:
    """Latents [1, z, t, h, w] on the CPU of a video's frames [H, W, 3] of one size, as `VAE.encode` makes them of all
    at once. One chunk of them is held at a time; the first chunk is of `first` frames."""
    encoded = _EncodedBefore(vae)
    return torch.cat([encoded(frames) for frames in _pieces(iter(pictures), first)], dim=2)


def _pieces(pictures: Iterator[Tensor], first: int) -> Iterator[Tensor]:
    """Frames [n, H, W, 3]: `first`, then chunks, the last of what is left. A video of one frame is a latent frame, as
    `VAE.encode` would take one for an image."""
    count = first
    while piece := list(islice(pictures, count)):
        yield torch.stack(piece if len(piece) > 1 else piece * FRAMES_PER_LATENT)
        count = VIDEO_FRAMES_PER_CHUNK


class _EncodedBefore:
    """Encodes the chunks of one video with `vae`, which must have an identity for any to be kept.

    What is kept is named by the very frames and by how they are encoded, so it is never of another video. Of a video
    that is longer than there is room for, the first part is kept.
    """

    def __init__(self, vae: VAE) -> None:
        self.vae = vae
        self._chunks = self._bytes = 0
        VIDEOS.tidy()

    def __call__(self, frames: Tensor) -> Tensor:
        """Latents [1, z, n / 4, h, w], rounded up, of at most a chunk of frames [n, H, W, 3], on the CPU."""
        vae, how = self.vae, self._how()
        if not vae.identity:
            return vae.encode(frames).cpu()
        side, name = vae.model.config.patch_size, digest("video", how, frames)
        shape = (1, vae.z_channels, -(-len(frames) // FRAMES_PER_LATENT), *(n // side for n in frames.shape[1:3]))
        known = VIDEOS.get(name, shape)
        latents = vae.encode(frames).cpu() if known is None else known
        self._bytes += latents.nbytes
        if known is None and self._bytes <= VIDEOS.most and how == self._how():  # tiles shrink where memory runs out
            VIDEOS.put(name, latents)
            self._chunks += 1
            if self._chunks % TIDIED_EVERY == 0:
                VIDEOS.tidy()
        return latents

    def _how(self) -> tuple[object, ...]:
        """What latents depend on beside the frames, to the last bit."""
        vae = self.vae
        return vae.identity, vae.dtype, vae.device.type, vae.tile, vae.at_once
