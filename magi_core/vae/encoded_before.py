"""Chunks of a given video that were encoded before: a run that was broken off, or is asked for with another strength or
other words, does not wait for the encoder again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from magi_core.config import CHUNK_FRAMES
from magi_core.digest import digest
from magi_core.weights.kept import KeptTensors

if TYPE_CHECKING:
    from magi_core.vae import VAE

VIDEOS = KeptTensors("videos", 1 << 31, "an encoded video")  # 6 minutes at 1280x720, 11 at 720x720


TIDIED_EVERY = 32  # chunks


class EncodedBefore:
    """Encodes the chunks of one video with `vae`, which must have an identity for any to be kept.

    What is kept is named by the very frames and by how they are encoded, so it is never of another video. Of a video
    that is longer than there is room for, the first part is kept.
    """

    def __init__(self, vae: VAE) -> None:
        self.vae = vae
        self._chunks = self._bytes = 0
        VIDEOS.tidy()

    def __call__(self, frames: Tensor) -> Tensor:
        """Latents [1, z, 6, h, w] of a chunk of frames uint8 [24, H, W, 3], on the CPU."""
        vae, how = self.vae, self._how()
        if not vae.identity:
            return vae.encode(frames).cpu()
        side, name = vae.model.config.patch_size, digest("video", how, frames)
        known = VIDEOS.get(name, (1, vae.z_channels, CHUNK_FRAMES, frames.shape[1] // side, frames.shape[2] // side))
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
