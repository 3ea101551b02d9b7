"""How much memory the text encoder needs beside its weights."""

from __future__ import annotations

from magi_core.device import FP32


def t5_bytes(tokens: int, *, width: int, inner: int, heads: int) -> int:
    """A prompt of `tokens` tokens through a T5 encoder in float32."""
    return FP32 * tokens * (6 * width + 3 * inner + 3 * heads * tokens)
