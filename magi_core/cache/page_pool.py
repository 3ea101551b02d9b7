"""K/V pages by content in two tiers: on the model's device, and behind that in pinned host memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from magi_core.cache.bounded import BoundedCache, CacheStats
from magi_core.cache.pinned import PinnedBlocks
from magi_core.dit import KVPage, StreamedPages
from magi_core.host_memory import Place, aligned


class PagePool:
    """Pages by key. What has no room on the device goes on to the host, and comes back when it is asked for.

    device: where pages live and are read. device_bytes, host_bytes: budgets; least recently used pages go first.
    Copies run on a stream of their own, beside the model's work; `prefetch` starts them before the pages are needed.
    On a CPU both tiers are the same memory, and pages are never copied. A run that has its pages `streamed` gets them
    from the host, where they stay.
    """

    def __init__(self, device: torch.device, device_bytes: int, host_bytes: int = 0) -> None:
        self.device = device
        self._on_host: BoundedCache[KVPage] = BoundedCache(host_bytes, _nbytes)
        self._on_device: BoundedCache[KVPage] = BoundedCache(device_bytes, _nbytes, on_evict=self._to_host)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._blocks = None if self._copies is None else PinnedBlocks(self._copies, host_bytes)
        self._arriving: dict[str, tuple[KVPage, torch.cuda.Event]] = {}

    def get(self, key: str, *, streamed: bool = False) -> KVPage | None:
        """The page, on the device or, `streamed`, in main memory; None where neither tier holds it, or only the device
        where it was to be in main memory."""
        if streamed:
            return self._on_host.get(key)
        page = self._on_device.get(key)
        if page is None and self._on_host.get(key) is not None:
            page = self._arriving[key][0] if key in self._arriving else self._fetch(key)
        if page is not None and key in self._arriving:
            reader = torch.cuda.current_stream(self.device)
            reader.wait_event(self._arriving.pop(key)[1])
            page.record_stream(reader)
        return page

    def expect(self, tensors: Sequence[int], *, streamed: bool = False) -> None:
        """Pages with tensors of so many bytes will be put: where the device has no room for one more, memory on the
        host is got ahead."""
        stats = self._on_device.stats
        if self._blocks is not None and (streamed or stats.bytes + sum(tensors) > stats.budget):
            self._blocks.prepare(sum(map(aligned, tensors)))

    def put(self, key: str, page: KVPage, *, streamed: bool = False) -> None:
        """Keep `page`, which lies on the device or, `streamed`, in main memory."""
        (self._on_host if streamed else self._on_device).put(key, page)
        self.expect([tensor.nbytes for layer in page.layers for tensor in layer.tensors], streamed=streamed)

    def streamed(self, layers: int) -> StreamedPages:
        """For a run of a model of so many layers whose pages in use lie in main memory."""
        return StreamedPages(self.device, layers, self._place, self._copies)

    def prefetch(self, keys: Iterable[str]) -> None:
        """Start bringing those pages of `keys` back that lie on the host only."""
        for key in keys:
            if key not in self._on_device and key not in self._arriving:
                self._fetch(key)

    def rehearsal(self) -> PagePool:
        """A copy that goes through the same motions without moving anything: what would be found, and what not."""
        other = PagePool(torch.device("cpu"), self._on_device.budget, self._on_host.budget)
        other._on_device.take_over(self._on_device)
        other._on_host.take_over(self._on_host)
        return other

    def release_device(self) -> None:
        """Move every page off the device, as far as the host has room for them."""
        budget = self._on_device.budget
        self._on_device.resize(0)
        self._on_device.resize(budget)
        self._arriving.clear()

    def resize(self, device_bytes: int | None = None, host_bytes: int | None = None) -> None:
        if host_bytes is not None:
            self._on_host.resize(host_bytes)
            if self._blocks is not None:
                self._blocks.budget = host_bytes
        if device_bytes is not None:
            self._on_device.resize(device_bytes)

    def give_back(self) -> None:
        """A run is over: main memory that its pages took beyond the host's budget goes back."""
        if self._blocks is not None:
            self._blocks.give_back()

    def clear(self) -> None:
        """Forget all pages, and give their memory back."""
        self._on_device.clear()
        self._on_host.clear()
        self._arriving.clear()
        if self._blocks is not None:
            self._blocks.clear()

    @property
    def stats(self) -> CacheStats:
        """Of the device. A page that is found on the host counts as a miss here, and as a hit there."""
        return self._on_device.stats

    @property
    def host_stats(self) -> CacheStats:
        return self._on_host.stats

    def _fetch(self, key: str) -> KVPage | None:
        """Start bringing a page from the host to the device, where it stays if there is room; None if there is none."""
        waiting = self._on_host.peek(key)
        if waiting is None:
            return None
        page = self._uploaded(key, waiting)
        if page.nbytes <= self._on_device.budget:
            self._on_host.pop(key)
            self._on_device.put(key, page)
        return page

    def _uploaded(self, key: str, page: KVPage) -> KVPage:
        """On its way to the device; where that raises for want of room, the page stays on the host."""
        if self._copies is None:
            return page
        with torch.cuda.stream(self._copies):
            moved = page.to(self.device, non_blocking=True)
        self._arriving[key] = moved, self._copies.record_event()
        return moved

    def _place(self, nbytes: int) -> Place:
        return Place(torch.empty(nbytes, dtype=torch.uint8)) if self._blocks is None else self._blocks.place(nbytes)

    def _to_host(self, key: str, page: KVPage) -> None:
        self._arriving.pop(key, None)
        budget = self._on_host.budget
        if page.nbytes > budget or key in self._on_host:
            return
        self._on_host.resize(budget - page.nbytes)  # what goes for want of room leaves its block to this page
        self._on_host.resize(budget)
        if self._copies is None or self._blocks is None:
            self._on_host.put(key, page)
            return
        self._copies.wait_stream(torch.cuda.current_stream(self.device))
        page.record_stream(self._copies)
        self._on_host.put(key, self._blocks.filled(page))


def _nbytes(page: KVPage) -> int:
    return page.nbytes
