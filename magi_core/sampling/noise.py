"""Initial noise, drawn on the CPU from (seed, chunk index): independent of length, device and window."""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def chunk_seed(seed: int, chunk: int) -> int:
    """One 63-bit generator seed per (seed, chunk): two rounds of splitmix64, so that neighbours are unrelated."""
    value = _splitmix(_splitmix(seed & _MASK) ^ (chunk & _MASK))
    return value >> 1


def chunk_noise(seed: int, chunk: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal float32 noise of `shape` on the CPU."""
    generator = torch.Generator().manual_seed(chunk_seed(seed, chunk))
    return torch.randn(shape, generator=generator)


def _splitmix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
