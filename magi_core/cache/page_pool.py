"""K/V pages by content in two tiers: on the model's device, and behind that in pinned host memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from magi_core.cache.bounded import BoundedCache, CacheStats
from magi_core.cache.pinned import HostPage, PinnedBlocks, block_bytes
from magi_core.dit import KVPage


class PagePool:
    """Pages by key. What has no room on the device goes on to the host, and comes back when it is asked for.

    device: where pages live and are read. device_bytes, host_bytes: budgets; least recently used pages go first.
    Copies run on a stream of their own, beside the model's work; `prefetch` starts them before the pages are needed.
    On a CPU both tiers are the same memory, and pages are never copied.
    """

    def __init__(self, device: torch.device, device_bytes: int, host_bytes: int = 0) -> None:
        self.device = device
        self._on_host: BoundedCache[HostPage] = BoundedCache(host_bytes, _nbytes, on_evict=self._forget)
        self._on_device: BoundedCache[KVPage] = BoundedCache(device_bytes, _nbytes, on_evict=self._to_host)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._blocks = None if self._copies is None else PinnedBlocks(self._copies, host_bytes)
        self._arriving: dict[str, tuple[KVPage, torch.cuda.Event]] = {}

    def get(self, key: str) -> KVPage | None:
        """The page, on the device; None where neither tier holds it."""
        page = self._on_device.get(key)
        if page is None and self._on_host.get(key) is not None:
            page = self._arriving[key][0] if key in self._arriving else self._fetch(key)
        if page is not None and key in self._arriving:
            reader = torch.cuda.current_stream(self.device)
            reader.wait_event(self._arriving.pop(key)[1])
            page.record_stream(reader)
        return page

    def expect(self, tensors: Sequence[int]) -> None:
        """Pages with tensors of so many bytes will be put: where the device has no room for one more, memory on the
        host is got ahead."""
        stats = self._on_device.stats
        if self._blocks is not None and stats.bytes + sum(tensors) > stats.budget:
            self._blocks.prepare(block_bytes(tensors))

    def put(self, key: str, page: KVPage) -> None:
        """Keep `page`, which lies on the device."""
        self._on_device.put(key, page)
        self.expect([tensor.nbytes for layer in page.layers for tensor in layer.tensors])

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

    def clear(self) -> None:
        """Forget all pages, and give their memory back."""
        self._on_device.clear()
        self._on_host.clear()
        self._arriving.clear()
        if self._copies is not None:
            self._copies.synchronize()
            self._blocks = PinnedBlocks(self._copies, self._on_host.budget)

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
        page = self._uploaded(key, waiting.page)
        if page.nbytes <= self._on_device.budget:
            self._on_host.pop(key)
            self._forget(key, waiting)
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

    def _to_host(self, key: str, page: KVPage) -> None:
        self._arriving.pop(key, None)
        budget = self._on_host.budget
        if page.nbytes > budget or key in self._on_host:
            return
        self._on_host.resize(budget - page.nbytes)  # what goes for want of room leaves its block to this page
        self._on_host.resize(budget)
        if self._copies is None or self._blocks is None:
            self._on_host.put(key, HostPage(page))
            return
        self._copies.wait_stream(torch.cuda.current_stream(self.device))
        page.record_stream(self._copies)
        self._on_host.put(key, self._blocks.filled(page))

    def _forget(self, key: str, page: HostPage) -> None:
        if self._blocks is not None:
            self._blocks.free(page)


def _nbytes(page: KVPage | HostPage) -> int:
    return page.nbytes
