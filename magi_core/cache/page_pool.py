"""K/V pages by content in two tiers: on the model's device, and behind that in pinned host memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from magi_core.cache.bounded import BoundedCache, CacheStats
from magi_core.dit import KVPage


class PagePool:
    """Pages by key. What has no room on the device goes on to the host, and comes back when it is asked for.

    device: where pages live and are read. device_bytes, host_bytes: budgets; least recently used pages go first.
    Copies run on a stream of their own, beside the model's work; `prefetch` starts them before the pages are needed.
    On a CPU both tiers are the same memory, and pages are never copied.
    """

    def __init__(self, device: torch.device, device_bytes: int, host_bytes: int = 0) -> None:
        self.device = device
        self._on_host: BoundedCache[KVPage] = BoundedCache(host_bytes, _nbytes)
        self._on_device: BoundedCache[KVPage] = BoundedCache(device_bytes, _nbytes, on_evict=self._to_host)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._arriving: dict[str, torch.cuda.Event | None] = {}

    def get(self, key: str) -> KVPage | None:
        """The page, on the device; None where neither tier holds it."""
        page = self._on_device.get(key)
        if page is None and self._on_host.get(key) is not None:
            page = self._fetch(key)
        if page is not None and (event := self._arriving.pop(key, None)) is not None:
            reader = torch.cuda.current_stream(self.device)
            reader.wait_event(event)
            page.record_stream(reader)
        return page

    def put(self, key: str, page: KVPage) -> None:
        """Keep `page`, which lies on the device."""
        self._on_device.put(key, page)

    def prefetch(self, keys: Iterable[str]) -> None:
        """Start bringing those pages of `keys` back that lie on the host only."""
        for key in keys:
            if key not in self._on_device:
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
        if device_bytes is not None:
            self._on_device.resize(device_bytes)

    def clear(self) -> None:
        """Forget all pages."""
        self._on_device.clear()
        self._on_host.clear()
        self._arriving.clear()

    @property
    def stats(self) -> CacheStats:
        """Of the device. A page that is found on the host counts as a miss here, and as a hit there."""
        return self._on_device.stats

    @property
    def host_stats(self) -> CacheStats:
        return self._on_host.stats

    def _fetch(self, key: str) -> KVPage | None:
        """Move a page from the host to the device; None where the host has none."""
        page = self._on_host.pop(key)
        if page is None:
            return None
        try:
            moved = self._uploaded(key, page)
        except RuntimeError:  # no room there: it stays here
            self._on_host.put(key, page)
            raise
        self._on_device.put(key, moved)
        return moved

    def _uploaded(self, key: str, page: KVPage) -> KVPage:
        if self._copies is None:
            return page
        with torch.cuda.stream(self._copies):
            moved = page.to(self.device, non_blocking=True)
        self._arriving[key] = self._copies.record_event()
        return moved

    def _to_host(self, key: str, page: KVPage) -> None:
        self._arriving.pop(key, None)
        if page.nbytes > self._on_host.budget:
            return
        if self._copies is not None:
            self._copies.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(self._copies):
                page.record_stream(self._copies)
                page = page.map(_pinned)
        self._on_host.put(key, page)


def _pinned(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def _nbytes(page: KVPage) -> int:
    return page.nbytes
