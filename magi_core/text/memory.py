"""How much memory the text encoder needs beside its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magi_core.dit.memory import FP32

if TYPE_CHECKING:
    pass


def t5_bytes(tokens: int, *, width: int, inner: int, heads: int) -> int:
    """A prompt of `tokens` tokens through a T5 encoder in float32."""
    return FP32 * tokens * (6 * width + 3 * inner + 3 * heads * tokens)
