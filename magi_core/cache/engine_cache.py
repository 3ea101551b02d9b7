"""What an engine remembers between calls: K/V pages, finished chunks and frontiers, by content and within budgets.

Losing any of it costs time, never a result.
"""

from __future__ import annotations

import os
from copy import copy

import torch
from torch import Tensor

from magi_core.cache.bounded import BoundedCache, CacheStats
from magi_core.cache.page_pool import PagePool
from magi_core.state.frontier import Frontier
from magi_core.state.state import SamplerState

MIB, GIB = 1 << 20, 1 << 30
WORDS = 1024  # what a frontier takes beside its tensors, about
FRONTIERS = 40  # remembered whatever their size: the last takes of a scene at any resolution


MOST_ON_GPU = 8 * GIB  # of pages, as on the host: further back, making them again is cheap beside what comes after them


def device_page_budget(device: torch.device) -> int:
    """Bytes of K/V pages that stay on `device` where nobody says how much room there is: none on a GPU, where they wait
    in main memory, 48 MiB elsewhere.

    Pages that a run reads are held by the run itself, whatever the budget.
    """
    return 0 if device.type == "cuda" else 48 * MIB


def host_page_budget(device: torch.device) -> int:
    """Bytes of pages that found no room on a GPU: an eighth of the machine's memory, at most 8 GiB. 0 on other devices,
    whose pages are in the host's memory already."""
    if device.type != "cuda":
        return 0
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        memory = 16 * GIB
    return min(8 * GIB, memory // 8)


class EngineCache:
    """Three caches; shared by all copies of an engine.

    pages: K/V of finished chunks, on the model's device and behind that on the host. chunks: finished latents by
    their keys (a state that is held shares them). frontiers: the pipeline at stages where a chunk entered, by
    `frontier_key`; the newest all, older ones ever fewer.
    device_bytes, host_bytes: of pages, at most; None: `device_page_budget` and `host_page_budget`. On the device they
    get no more than a run leaves (`kept_beside`).
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        device_bytes: int | None = None,
        host_bytes: int | None = None,
        chunk_bytes: int = GIB // 2,
        frontier_bytes: int = 4 * MIB,
    ) -> None:
        device = torch.device(device)
        self.device_bytes = device_page_budget(device) if device_bytes is None else device_bytes
        self.pages = PagePool(
            device,
            self.device_bytes,
            host_page_budget(device) if host_bytes is None else host_bytes,
        )
        self.chunks: BoundedCache[Tensor] = BoundedCache(chunk_bytes, lambda latent: latent.nbytes, shared=True)
        self.frontiers: BoundedCache[Frontier] = BoundedCache(
            frontier_bytes, lambda frontier: frontier.nbytes + WORDS, least=FRONTIERS, thin=True
        )

    def with_page_budgets(self, device_bytes: int | None = None, host_bytes: int | None = None) -> EngineCache:
        """The same chunks and frontiers, shared, with K/V pages of its own; None keeps a budget."""
        other, host = copy(self), self.pages.host_stats.budget
        other.device_bytes = self.device_bytes if device_bytes is None else device_bytes
        other.pages = PagePool(self.pages.device, other.device_bytes, host if host_bytes is None else host_bytes)
        return other

    def kept_beside(self, spare: int | None) -> int:
        """Bytes of pages that may stay on the device where so many are left there; see `Host.spare`."""
        return self.device_bytes if spare is None else min(self.device_bytes, spare)

    @property
    def stats(self) -> dict[str, CacheStats]:
        return {
            "pages": self.pages.stats,
            "host pages": self.pages.host_stats,
            "chunks": self.chunks.stats,
            "frontiers": self.frontiers.stats,
        }

    def recall(self, take: SamplerState) -> None:
        """Remember the frontiers of a take as far as there is room, and its chunks while it is held at least."""
        for record in take.chunks:
            if record.at.key:
                self.chunks.put(record.at.key, record.latent)
        broken_off = None if take.unfinished is None else take.unfinished.frontier
        for frontier in (*take.frontiers, take.frontier, broken_off):
            if frontier is not None:
                self.frontiers.put(frontier.key, frontier)

    def release_device(self) -> None:
        """Leave nothing on the device; pages go to the host as far as it has room."""
        self.pages.release_device()

    def clear(self) -> None:
        """Forget everything."""
        for part in (self.pages, self.chunks, self.frontiers):
            part.clear()
