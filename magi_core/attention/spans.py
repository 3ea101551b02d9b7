"""Attention backends behind one function: a list of (query range, key range) over packed tokens.

Chunk-causal attention never needs a mask: every chunk attends to one contiguous run of keys without masking inside,
so a window of chunks is a short list of dense calls. Hosts bring their own backend by passing any `Attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

Span = tuple[tuple[int, int], tuple[int, int]]
Attention = Callable[[Tensor, Tensor, Tensor, Sequence[Span]], Tensor]
"""`(q [S, Hq, D], k [K, Hkv, D], v [K, Hkv, D], spans) -> [S, Hq, D]`; query head h reads group h // (Hq / Hkv)."""


def is_whole(spans: Sequence[Span], rows: int) -> bool:
    """Whether one dense call gives all of `rows` rows: then its result need not be put together."""
    return len(spans) == 1 and spans[0][0] == (0, rows)


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """Join neighbouring queries that read the same keys into one span."""
    merged = [spans[0]]
    for (q0, q1), keys in spans[1:]:
        (last0, last1), last_keys = merged[-1]
        if keys == last_keys and last1 == q0:
            merged[-1] = ((last0, q1), keys)
        else:
            merged.append(((q0, q1), keys))
    return merged
