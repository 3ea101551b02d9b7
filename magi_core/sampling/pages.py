"""K/V pages of finished chunks: those a run reads, backed by the engine's pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from magi_core.cache.page_pool import PagePool
from magi_core.digest import digest
from magi_core.dit import KVPage


class PageBook:
    """The pages one run reads, by chunk index; made where the pool does not hold them.

    base: digest of everything a page depends on beside its chunk (model, size, precision, settings, null text).
    key: digest of what a chunk's latent depends on. A page is never written after it is made.
    depends: chunks before one whose pages its own is made from; none unless the clean range is above 1.
    pooled: whether pages go into the pool: those that depend on their own chunk alone.
    streamed: whether they lie in main memory.
    """

    def __init__(
        self,
        pool: PagePool,
        base: str,
        key: Callable[[int], str],
        depends: Callable[[int], range],
        pooled: bool,
        streamed: bool = False,
    ) -> None:
        self.pool, self.base, self.key, self.depends = pool, base, key, depends
        self.pooled, self.streamed = pooled, streamed
        self.by_chunk: dict[int, KVPage] = {}

    def missing(self, wanted: range) -> list[int]:
        """Hold the pages of the chunks `wanted` and none older, and say which have to be made, in this order, and
        brought to `add`."""
        self.by_chunk = {index: page for index, page in self.by_chunk.items() if wanted and index >= wanted.start}
        missing = [index for index in wanted if index not in self.by_chunk]
        if self.pooled:
            return self._not_pooled(missing) if missing else []
        needed: set[int] = set()
        while missing:
            index = missing.pop()
            needed.add(index)
            missing.extend(i for i in self.depends(index) if i not in self.by_chunk and i not in needed)
        return sorted(needed)

    def add(self, index: int, page: KVPage) -> None:
        """Take in a page just made, here and in the pool."""
        self.by_chunk[index] = page
        if self.pooled:
            self.pool.put(self._page_key(index), page, streamed=self.streamed)

    def _not_pooled(self, missing: Sequence[int]) -> list[int]:
        """Takes what the pool holds of `missing`; returns the rest."""
        keys = {index: self._page_key(index) for index in missing}
        if not self.streamed:
            self.pool.prefetch(keys.values())
        for index, key in keys.items():
            page = self.pool.get(key, streamed=self.streamed)
            if page is not None:
                self.by_chunk[index] = page
        return [index for index in missing if index not in self.by_chunk]

    def _page_key(self, index: int) -> str:
        return digest("page", self.base, index, self.key(index))
