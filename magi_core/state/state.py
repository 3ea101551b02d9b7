"""`SamplerState`: what has been generated so far. It holds latents and words, no model, no K/V, no device tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magi_core.config import (
    CHUNK_FRAMES,
    FRAMES_PER_LATENT,
    PIXELS_PER_LATENT,
    VIDEO_FRAMES_PER_CHUNK,
    SamplingSettings,
)


@dataclass(frozen=True, eq=False)
class ChunkRecord:
    """One finished chunk.

    index: its place in the whole video, prefix included. latent: [C, 6, h, w] float32 on the CPU; in a chunk that was
    partly given, the given frames come first. prompt, seed: what it was made from.
    """

    index: int
    latent: Tensor
    prompt: str
    seed: int


@dataclass(frozen=True, eq=False)
class SamplerState:
    """An immutable generation in progress. Extending returns a new one; branches share their common chunks.

    prefix: given latents [1, C, p, h, w] float32 on the CPU, or None. chunks: finished chunks, oldest first.
    total_chunks: how long the video says it will be (duration tokens); None says "8 or more chunks to come" each time.
    notes: what was done to the input, in words for the user (cropped, cut, padded).
    """

    width: int
    height: int
    fps: float
    seed: int
    settings: SamplingSettings
    channels: int
    fingerprint: str = ""
    prefix: Tensor | None = None
    chunks: tuple[ChunkRecord, ...] = ()
    total_chunks: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def prefix_latent_frames(self) -> int:
        return 0 if self.prefix is None else self.prefix.shape[2]

    @property
    def prefix_frames(self) -> int:
        """Decoded video frames at the start that were given (an image or a video), not generated."""
        return self.prefix_latent_frames * FRAMES_PER_LATENT

    @property
    def first_chunk(self) -> int:
        """Index of the first generated chunk: the number of chunks that were given whole."""
        return self.prefix_latent_frames // CHUNK_FRAMES

    @property
    def next_chunk(self) -> int:
        """Index of the chunk that the next extend makes first."""
        return self.first_chunk + len(self.chunks)

    @property
    def anchor(self) -> Tensor | None:
        """Given frames [C, r, h, w] of the first generated chunk (r < 6), or None."""
        given = self.first_chunk * CHUNK_FRAMES
        return None if self.prefix_latent_frames == given else self.prefix[0, :, given:]

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """[C, T, h, w] of one chunk."""
        return self.channels, CHUNK_FRAMES, self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT

    @property
    def latents(self) -> Tensor:
        """The whole video so far, prefix included: [1, C, T, h, w] float32 on the CPU."""
        if not self.chunks:
            if self.prefix is not None:
                return self.prefix
            channels, _, height, width = self.latent_shape
            return torch.zeros(1, channels, 0, height, width)
        parts = [record.latent for record in self.chunks]
        if self.first_chunk:
            parts.insert(0, self.prefix[0, :, : self.first_chunk * CHUNK_FRAMES])
        return torch.cat(parts, dim=1)[None]

    @property
    def frames(self) -> int:
        """Video frames that `decode` yields for the whole state."""
        if not self.chunks:
            return self.prefix_frames
        return self.next_chunk * VIDEO_FRAMES_PER_CHUNK

    def chunk_latent(self, index: int) -> Tensor:
        """Latent [C, 6, h, w] of any finished chunk, given or generated."""
        if index < self.first_chunk:
            return self.prefix[0, :, index * CHUNK_FRAMES : (index + 1) * CHUNK_FRAMES]
        return self.chunks[index - self.first_chunk].latent

    def with_chunk(self, record: ChunkRecord) -> SamplerState:
        return replace(self, chunks=(*self.chunks, record))
