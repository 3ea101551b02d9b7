"""Bounded memory of results by content: least recently used entries go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class CacheStats:
    """Lookups that found something, lookups that did not, bytes held, bytes allowed, entries held."""

    hits: int
    misses: int
    bytes: int
    budget: int
    entries: int


class BoundedCache(Generic[V]):
    """Values by key within a budget of bytes. A value larger than the budget is not kept.

    size: bytes of a value.
    """

    def __init__(self, budget: int, size: Callable[[V], int]) -> None:
        self.budget, self._size = budget, size
        self._entries: OrderedDict[str, V] = OrderedDict()
        self._bytes = self._hits = self._misses = 0

    def get(self, key: str) -> V | None:
        value = self._entries.get(key)
        if value is None:
            self._misses += 1
            return None
        self._hits += 1
        self._entries.move_to_end(key)
        return value

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def put(self, key: str, value: V) -> None:
        """Keep `value`; a value that is there already stays, so that what was handed out keeps its bits."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        size = self._size(value)
        if size > self.budget:
            return
        self._entries[key] = value
        self._bytes += size
        self._shrink(self.budget)

    def clear(self) -> None:
        """Forget everything; counts of hits and misses stay."""
        self._entries.clear()
        self._bytes = 0

    def resize(self, budget: int) -> None:
        self.budget = budget
        self._shrink(budget)

    @property
    def stats(self) -> CacheStats:
        return CacheStats(self._hits, self._misses, self._bytes, self.budget, len(self._entries))

    def _shrink(self, limit: int) -> None:
        while self._bytes > limit and self._entries:
            _, value = self._entries.popitem(last=False)
            self._bytes -= self._size(value)
