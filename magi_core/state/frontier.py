"""The pipeline between two stages: what is in flight, as plain values on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from magi_core.config import SamplingSettings
from magi_core.digest import digest
from magi_core.state.chunk import PlacedChunk, Source
from magi_core.text.chunk_text import ChunkText


@dataclass(frozen=True, eq=False)
class InFlight:
    """A chunk on its way from noise to clean.

    at.key: what it is known by while in flight. text: what its cross-attention reads. latent: [C, T, h, w] float32;
    its noise as long as it is tied to its source. stage: stages of the window it has behind it. source: of a second
    pass, else None.
    """

    at: PlacedChunk
    text: ChunkText
    latent: Tensor
    stage: int = 0
    source: Source | None = None

    @property
    def index(self) -> int:
        return self.at.index

    @property
    def key(self) -> str:
        """Key of what it becomes."""
        kept = None if self.source is None else self.source.kept
        return self.at.key if kept is None else kept.key

    def moved(self, change: Callable[[Tensor], Tensor]) -> InFlight:
        return replace(self, latent=change(self.latent))


@dataclass(frozen=True, eq=False)
class Frontier:
    """The pipeline as it stands just before chunk `next_chunk` would enter.

    chunks: in flight, oldest first. run_start: first chunk of the run they belong to. last: key in flight of the chunk
    that entered last, "" before the first. read: keys of the finished chunks that those in flight read from here on.
    """

    chunks: tuple[InFlight, ...]
    next_chunk: int
    run_start: int
    last: str = ""
    read: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Digest of all that a run that goes on from here depends on, but for what chunks to come may read."""
        return frontier_key(self.next_chunk, self.read, [chunk.at.key for chunk in self.chunks], self.last)

    @property
    def oldest(self) -> int:
        """Index of the oldest chunk in flight, or of the next to enter when none is."""
        return self.chunks[0].index if self.chunks else self.next_chunk

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors; a text that several chunks share counts once."""
        texts = {chunk.text.key: chunk.text.tokens.nbytes for chunk in self.chunks}
        sources = sum(chunk.source.record.latent.nbytes for chunk in self.chunks if chunk.source is not None)
        return sum(chunk.latent.nbytes for chunk in self.chunks) + sum(texts.values()) + sources


def frontier_key(next_chunk: int, read: Sequence[str], in_flight: Sequence[str], last: str) -> str:
    """Key of the frontier before chunk `next_chunk`; the rest as in `Frontier`, of chunks in flight their keys."""
    return digest("frontier", next_chunk, tuple(read), tuple(in_flight), last)


def finished_and_read(
    settings: SamplingSettings, in_flight: range, next_chunk: int, sight: Callable[[int], int]
) -> range:
    """Finished chunks that those `in_flight` read from where chunk `next_chunk` would enter. sight: first chunk that
    one may see."""
    if not in_flight:
        return range(next_chunk, next_chunk)
    longest = settings.longest_range
    reach = 0 if longest is None else max(0, next_chunk + 1 - longest)
    return range(min(max(reach, min(map(sight, in_flight))), in_flight.start), in_flight.start)
