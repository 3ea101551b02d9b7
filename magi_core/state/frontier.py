"""The pipeline between two stages: what is in flight, as plain values on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from magi_core.digest import digest
from magi_core.state.chunk import PlacedChunk
from magi_core.text.chunk_text import ChunkText


@dataclass(frozen=True, eq=False)
class InFlight:
    """A chunk on its way from noise to clean.

    text: what its cross-attention reads. latent: [C, T, h, w] float32. stage: stages of the window it has behind it.
    """

    at: PlacedChunk
    text: ChunkText
    latent: Tensor
    stage: int = 0

    @property
    def index(self) -> int:
        return self.at.index

    @property
    def key(self) -> str:
        return self.at.key

    def moved(self, change: Callable[[Tensor], Tensor]) -> InFlight:
        return replace(self, latent=change(self.latent))


@dataclass(frozen=True, eq=False)
class Frontier:
    """The pipeline as it stands just before chunk `next_chunk` would enter.

    chunks: in flight, oldest first. run_start: first chunk of the run they belong to. last: key of the chunk that
    entered last, "" before the first.
    """

    chunks: tuple[InFlight, ...]
    next_chunk: int
    run_start: int
    last: str = ""

    @cached_property
    def key(self) -> str:
        """Digest of all that a run that goes on from here depends on, finished chunks aside."""
        return frontier_key(self.next_chunk, [chunk.key for chunk in self.chunks], self.last)

    @property
    def oldest(self) -> int:
        """Index of the oldest chunk in flight, or of the next to enter when none is."""
        return self.chunks[0].index if self.chunks else self.next_chunk

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors; a text that several chunks share counts once."""
        texts = {chunk.text.key: chunk.text.tokens.nbytes for chunk in self.chunks}
        return sum(chunk.latent.nbytes for chunk in self.chunks) + sum(texts.values())


def frontier_key(next_chunk: int, in_flight: Sequence[str], last: str) -> str:
    """Key of the frontier before chunk `next_chunk` with chunks of the keys `in_flight`, where `last` entered last."""
    return digest("frontier", next_chunk, tuple(in_flight), last)
