"""K/V pages of finished chunks: those a run reads, backed by the engine's pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from magi_core.cache.page_pool import PagePool
from magi_core.digest import digest
from magi_core.dit import KVPage

Make = Callable[[Sequence[int]], Mapping[int, KVPage]]
"""Makes the pages of finished chunks (consecutive indices) from their latents, in one forward."""


class PageBook:
    """The pages one run reads, by chunk index; made where the pool does not hold them.

    base: digest of everything a page depends on beside its chunk (model, size, precision, settings, null text).
    key: digest of what a chunk's latent depends on. A page is never written after it is made.
    first_seen: where the clean range is above 1, a page depends on its predecessors from this one on; such pages are
    made together and not pooled. None: every page depends on its own chunk alone.
    """

    def __init__(
        self,
        pool: PagePool,
        base: str,
        key: Callable[[int], str],
        first_seen: Callable[[int], int] | None = None,
    ) -> None:
        self.pool, self.base, self.key, self.first_seen = pool, base, key, first_seen
        self.by_chunk: dict[int, KVPage] = {}

    def prepare(self, wanted: range, make: Make) -> None:
        """Hold the pages of the chunks `wanted` and none older; missing ones are made in one forward."""
        self.by_chunk = {index: page for index, page in self.by_chunk.items() if wanted and index >= wanted.start}
        missing = [index for index in wanted if index not in self.by_chunk]
        if missing and self.first_seen is not None:
            missing = list(range(self._first_needed(missing[0], wanted.stop, self.first_seen), wanted.stop))
        elif missing:
            missing = self._fetched(missing)
        if missing:
            self.add(make(missing))

    @staticmethod
    def _first_needed(start: int, stop: int, first_seen: Callable[[int], int]) -> int:
        """The first page that those of chunks `start` to `stop` depend on, by way of others too."""
        while (lowest := min(map(first_seen, range(start, stop)))) < start:
            start = lowest
        return start

    def add(self, pages: Mapping[int, KVPage]) -> None:
        """Take in pages just made, here and in the pool."""
        self.by_chunk.update(pages)
        if self.first_seen is None:
            for index, page in pages.items():
                self.pool.put(self._page_key(index), page)

    def _fetched(self, missing: Sequence[int]) -> list[int]:
        """Takes what the pool holds of `missing`; returns the rest."""
        keys = {index: self._page_key(index) for index in missing}
        self.pool.prefetch(keys.values())
        for index, key in keys.items():
            page = self.pool.get(key)
            if page is not None:
                self.by_chunk[index] = page
        return [index for index in missing if index not in self.by_chunk]

    def _page_key(self, index: int) -> str:
        return digest("page", self.base, index, self.key(index))
