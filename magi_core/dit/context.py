"""What one forward attends to: pages of clean chunks and the forward's own chunks, and each chunk's text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.attention.spans import Attention, merge_spans
from magi_core.dit.kv import KVLayer, KVPage


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
    """

    def __init__(
        self,
        attention: Attention,
        ranges: Sequence[tuple[int, int]],
        history: Sequence[KVPage] = (),
        keep: Collection[int] = (),
    ) -> None:
        self.attention, self.ranges, self.keep = attention, list(ranges), sorted(keep)
        first = min(min(start for start, _ in ranges), len(history))
        self.first, self.history = first, history[first:]
        self._kept: dict[int, list[KVLayer]] = {position: [] for position in self.keep}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = q[0], k[0], v[0]
        size = q.shape[0] // len(self.ranges)
        for position in self.keep:
            rows = slice(position * size, (position + 1) * size)
            self._kept[position].append(KVLayer.of(k[rows], v[rows]))
        if self.history:
            past_k, past_v = zip(*(page.layers[layer].read() for page in self.history), strict=True)
            k, v = torch.cat([*past_k, k]), torch.cat([*past_v, v])
        spans = [
            ((i * size, (i + 1) * size), ((start - self.first) * size, (stop - self.first) * size))
            for i, (start, stop) in enumerate(self.ranges)
        ]
        return self.attention(q, k, v, merge_spans(spans))[None]

    @property
    def pages(self) -> dict[int, KVPage]:
        return {position: KVPage(tuple(layers)) for position, layers in self._kept.items()}


class TextAttention:
    """Cross-attention of one forward: chunk i reads `contexts[i]`."""

    def __init__(self, attention: Attention, contexts: Sequence[TextContext]) -> None:
        self.attention, self.contexts = attention, contexts

    def __call__(self, layer: int, q: Tensor) -> Tensor:
        blocks = q[0].chunk(len(self.contexts))
        out = [
            self.attention(
                block,
                context.keys[layer],
                context.values[layer],
                [((0, block.shape[0]), (0, context.keys[layer].shape[0]))],
            )
            for block, context in zip(blocks, self.contexts, strict=True)
        ]
        return torch.cat(out)[None]
