"""Embeddings of prompts, kept in the user's own folder: a prompt that was read before needs no text encoder.

T5-XXL takes 9 to 19 GB, and longer to load than to use. A file holds no words; see `magi_core.weights.kept`.
"""

from __future__ import annotations

from torch import Tensor

from magi_core.weights.kept import KeptTensors

PROMPTS = KeptTensors("prompts", 1 << 29, "an encoded prompt")  # 600 prompts of 50 tokens of T5-XXL


def kept(key: str, channels: int) -> Tensor | None:
    """What was kept under `key`, [L, channels] float32; None where there is nothing sound."""
    return PROMPTS.get(key, (None, channels))


def keep(key: str, tokens: Tensor) -> None:
    """Keep `tokens` [L, channels] float32 under `key`. Being unable to costs time only."""
    PROMPTS.put(key, tokens)
    PROMPTS.tidy()
