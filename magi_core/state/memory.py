"""What an engine remembers between calls: K/V pages, finished chunks and frontiers, by content and within budgets.

Losing any of it costs time, never a result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magi_core.dit import KVPage
from magi_core.state.cache import BoundedCache, CacheStats
from magi_core.state.frontier import Frontier

GIB = 1 << 30
WORDS = 1024  # what a frontier takes beside its tensors, about


def page_budget(device: torch.device) -> int:
    """Bytes of K/V pages worth keeping between runs: a tenth of a GPU's memory, 2 GiB elsewhere.

    Pages that a run reads are held by the run itself, whatever the budget.
    """
    if device.type != "cuda":
        return 2 * GIB
    return torch.cuda.get_device_properties(device).total_memory // 10


class Memory:
    """Three caches; shared by all copies of an engine.

    pages: K/V of finished chunks, on the model's device. chunks: finished latents by the key of their run.
    frontiers: the pipeline at every stage a chunk entered, by the key of the last chunk that had entered.
    """

    def __init__(self, page_bytes: int = 2 * GIB, chunk_bytes: int = GIB // 2, frontier_bytes: int = GIB // 2) -> None:
        self.pages: BoundedCache[KVPage] = BoundedCache(page_bytes, lambda page: page.nbytes)
        self.chunks: BoundedCache[Tensor] = BoundedCache(chunk_bytes, lambda latent: latent.nbytes)
        self.frontiers: BoundedCache[Frontier] = BoundedCache(frontier_bytes, lambda frontier: frontier.nbytes + WORDS)

    @property
    def stats(self) -> dict[str, CacheStats]:
        return {"pages": self.pages.stats, "chunks": self.chunks.stats, "frontiers": self.frontiers.stats}

    def clear(self) -> None:
        """Forget everything."""
        for cache in (self.pages, self.chunks, self.frontiers):
            cache.clear()
