"""What one forward attends to: pages of clean chunks and the forward's own chunks, and each chunk's text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.attention.spans import Attention, merge_spans
from magi_core.dit.kv import KVPage
from magi_core.dit.layers import Read
from magi_core.dit.pages import OnDevice, Pages


@dataclass(frozen=True, eq=False)
class TextContext:
    """Cross-attention keys and values of one prompt: per layer [L, groups, d]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class WindowAttention:
    """Self-attention of one forward over `history` pages followed by the forward's own chunks.

    history: pages, oldest first. chunks: number of chunks in the forward, all of the same size.
    ranges: for every chunk, the half-open range it attends to, counted in chunks over history + own.
    keep: positions (among the forward's own chunks) whose K/V become pages, readable as `pages[position]` afterwards.
    where: pages are, those of `history` and those that are kept; on the device, if left out.
    """

    def __init__(
        self,
        attention: Attention,
        ranges: Sequence[tuple[int, int]],
        history: Sequence[KVPage] = (),
        keep: Collection[int] = (),
        where: Pages | None = None,
    ) -> None:
        self.attention, self.ranges, self.keep = attention, list(ranges), sorted(keep)
        first = min(min(start for start, _ in ranges), len(history))
        self.first, self.history = first, history[first:]
        where = where or OnDevice()
        self._past = where.reading(self.history)
        self._kept = {position: where.making(i) for i, position in enumerate(self.keep)}

    def __call__(self, layer: int, keys: Sequence[Tensor], values: Sequence[Tensor]) -> Read:
        with self._past(layer) as past:
            k = _joined([*(k for k, _ in past), *(part[0] for part in keys)])
            v = _joined([*(v for _, v in past), *(part[0] for part in values)])
        size = k.shape[0] // (len(self.history) + len(self.ranges))
        for position, page in self._kept.items():
            rows = slice((len(self.history) + position) * size, (len(self.history) + position + 1) * size)
            page.add(k[rows], v[rows])
        seen = [((start - self.first) * size, (stop - self.first) * size) for start, stop in self.ranges]

        def read(q: Tensor, first: int) -> Tensor:
            own = ((rows, seen[chunk]) for chunk, rows in rows_by_chunk(first, q.shape[1], size))
            return self.attention(q[0], k, v, merge_spans(list(own)))[None]

        return read

    @property
    def pages(self) -> dict[int, KVPage]:
        return {position: page.made() for position, page in self._kept.items()}


class TextAttention:
    """Cross-attention of one forward: chunk i reads `contexts[i]`."""

    def __init__(self, attention: Attention, contexts: Sequence[TextContext]) -> None:
        self.attention, self.contexts = attention, contexts

    def __call__(self, layer: int, q: Tensor, first: int, size: int) -> Tensor:
        out = []
        for chunk, (start, stop) in rows_by_chunk(first, q.shape[1], size):
            keys, values = self.contexts[chunk].keys[layer], self.contexts[chunk].values[layer]
            out.append(self.attention(q[0, start:stop], keys, values, [((0, stop - start), (0, keys.shape[0]))]))
        return _joined(out)[None]


def rows_by_chunk(first: int, count: int, size: int) -> list[tuple[int, tuple[int, int]]]:
    """The chunks of `size` rows that `count` rows from `first` on belong to, and which of those rows each has."""
    chunks = range(first // size, -(-(first + count) // size))
    return [(i, (max(i * size - first, 0), min((i + 1) * size - first, count))) for i in chunks]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """One after the other along the first axis; a copy, if there are several."""
    if len(parts) == 1 or torch.is_grad_enabled():
        return parts[0] if len(parts) == 1 else torch.cat(list(parts))
    out, at = parts[0].new_empty((sum(map(len, parts)), *parts[0].shape[1:])), 0
    for part in parts:  # three times as fast on a GPU as torch.cat of parts that lie apart
        out[at : at + len(part)].copy_(part)
        at += len(part)
    return out
