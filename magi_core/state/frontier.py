"""The pipeline between two stages: what is about to enter and what is in flight, as plain values on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Entering:
    """A chunk before its first step; its noise is drawn when it enters.

    chunk: index in the whole video. text: [L, caption channels], visible tokens only, special tokens included.
    prompt, seed: what it is made from. kv_ranges: its own attention ranges, or None for the settings'.
    transition: what they come from; "continue" where they were given as they are.
    special_tokens: names of those in front of its prompt, or None for the settings'.
    key: digest of everything its finished latent depends on.
    """

    chunk: int
    text: Tensor
    prompt: str
    seed: int
    key: str = ""
    kv_ranges: tuple[int, ...] | None = None
    transition: str = "continue"
    special_tokens: tuple[str, ...] | None = None

    def begun(self, noise: Tensor) -> InFlight:
        """The chunk in flight, from `noise` [C, T, h, w]."""
        return InFlight(**vars(self), latent=noise)


@dataclass(frozen=True, eq=False)
class InFlight(Entering):
    """A chunk on its way from noise to clean.

    latent: [C, T, h, w] float32. stage: stages of the window it has behind it.
    """

    latent: Tensor = field(kw_only=True)
    stage: int = field(default=0, kw_only=True)

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
        """Bytes of its tensors; a text that several chunks share counts once."""
        texts = {id(chunk.text): chunk.text.nbytes for chunk in self.chunks}
        return sum(chunk.latent.nbytes for chunk in self.chunks) + sum(texts.values())
