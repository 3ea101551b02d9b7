"""A finished chunk."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ChunkRecord:
    """One finished chunk.

    index: its place in the whole video, prefix included. latent: [C, 6, h, w] float32 on the CPU; in a chunk that was
    partly given, the given frames come first. prompt, seed: what it was made from (the seed with the chunk's own
    offset). transition, kv_ranges: how it followed; None where it saw what the settings say. special_tokens: names of
    those in front of its prompt; None for the settings'.
    key: digest of everything the latent depends on. run_start: first chunk of the run it was made in.
    """

    index: int
    latent: Tensor
    prompt: str
    seed: int
    key: str = ""
    run_start: int = 0
    transition: str = "continue"
    kv_ranges: tuple[int, ...] | None = None
    special_tokens: tuple[str, ...] | None = None
