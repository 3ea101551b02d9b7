"""Results by content within a budget: what was used longest ago goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

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

    size: bytes of a value. least: entries that are kept whatever their size.
    thin: where room is needed, every second value of the older half goes instead of the oldest: what is left of old
    values lies ever further apart, but reaches back to the first.
    shared: what went for want of room is found all the same for as long as somebody else holds it.
    on_evict: receives what goes for want of room.
    Threads may share it: a run uses it while others look things up (`peek`, `take_over`).
    """

    def __init__(
        self,
        budget: int,
        size: Callable[[V], int],
        *,
        least: int = 0,
        thin: bool = False,
        shared: bool = False,
        on_evict: Callable[[str, V], None] = lambda key, value: None,
    ) -> None:
        self.budget, self.least, self.thin = budget, least, thin
        self._size, self._on_evict = size, on_evict
        self._entries: OrderedDict[str, V] = OrderedDict()
        self._elsewhere: WeakValueDictionary[str, V] | None = WeakValueDictionary() if shared else None
        self._bytes = self._hits = self._misses = 0
        self._lock = RLock()

    def get(self, key: str) -> V | None:
        with self._lock:
            value = self.peek(key)
            if value is None:
                self._misses += 1
                return None
            self._hits += 1
            self.put(key, value)
            return value

    def peek(self, key: str) -> V | None:
        """The value, without using it: it grows as old as it would have, and no lookup is counted."""
        with self._lock:
            value = self._entries.get(key)
            return self._elsewhere.get(key) if value is None and self._elsewhere is not None else value

    def __contains__(self, key: str) -> bool:
        return self.peek(key) is not None

    def put(self, key: str, value: V) -> None:
        """Keep `value`; a value that is there already stays, so that what was handed out keeps its bits."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return
            size = self._size(value)
            if size > self.budget and not self.least:
                self._gone(key, value)
                return
            self._entries[key] = value
            self._bytes += size
            self._shrink()

    def pop(self, key: str) -> V | None:
        """Take a value out; not counted as a lookup."""
        with self._lock:
            value = self._entries.pop(key, None)
            if value is not None:
                self._bytes -= self._size(value)
            if self._elsewhere is not None:
                self._elsewhere.pop(key, None)
            return value

    def clear(self) -> None:
        """Forget everything; counts of hits and misses stay."""
        with self._lock:
            self._entries.clear()
            if self._elsewhere is not None:
                self._elsewhere.clear()
            self._bytes = 0

    def take_over(self, other: BoundedCache[V]) -> None:
        """Hold what `other` holds, in the same order."""
        with other._lock:
            entries, size = OrderedDict(other._entries), other._bytes
        with self._lock:
            self._entries, self._bytes = entries, size

    def resize(self, budget: int) -> None:
        with self._lock:
            self.budget = budget
            self._shrink()

    @property
    def stats(self) -> CacheStats:
        return CacheStats(self._hits, self._misses, self._bytes, self.budget, len(self._entries))

    def _shrink(self) -> None:
        while self._bytes > self.budget and len(self._entries) > self.least:
            older = list(self._entries)[: len(self._entries) // 2]
            for key in older[1::2] if self.thin and len(older) > 1 else [next(iter(self._entries))]:
                value = self._entries.pop(key)
                self._bytes -= self._size(value)
                self._gone(key, value)

    def _gone(self, key: str, value: V) -> None:
        if self._elsewhere is not None:
            self._elsewhere[key] = value
        self._on_evict(key, value)
