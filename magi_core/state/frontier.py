"""The pipeline between two stages: what is in flight, as plain values on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class InFlight:
    """A chunk on its way from noise to clean.

    chunk: index in the whole video. stage: stages of the window it has behind it.
    latent: [C, T, h, w] float32. text: [L, caption channels], visible tokens only, special tokens included.
    prompt, seed: what it is made from. kv_ranges: its own attention ranges, or None for the settings'.
    transition: what they come from; "continue" where they were given as they are.
    key: digest of everything its finished latent depends on.
    """

    chunk: int
    latent: Tensor
    text: Tensor
    prompt: str
    seed: int
    key: str = ""
    stage: int = 0
    kv_ranges: tuple[int, ...] | None = None
    transition: str = "continue"

    def moved(self, change: Callable[[Tensor], Tensor]) -> InFlight:
        return replace(self, latent=change(self.latent))


@dataclass(frozen=True, eq=False)
class Frontier:
    """The pipeline as it stands just before chunk `next_chunk` would enter.

    chunks: in flight, oldest first. run_start: first chunk of the run they belong to. key: digest of the run so far.
    """

    chunks: tuple[InFlight, ...]
    next_chunk: int
    run_start: int
    key: str

    @property
    def oldest(self) -> int:
        """Index of the oldest chunk in flight, or of the next to enter when none is."""
        return self.chunks[0].chunk if self.chunks else self.next_chunk

    @property
    def nbytes(self) -> int:
        return sum(chunk.latent.nbytes + chunk.text.nbytes for chunk in self.chunks)
