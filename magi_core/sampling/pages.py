"""K/V pages of finished chunks: those a run reads, backed by the engine's pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from torch import Tensor

from magi_core.cache.page_pool import PagePool
from magi_core.digest import digest
from magi_core.dit import KVPage
from magi_core.host_memory import settled
from magi_core.sampling.forward import Predictor
from magi_core.sampling.window import plan_history


class PageBook:
    """The pages one run reads, by chunk index; made from latents where the pool does not hold them.

    base: digest of everything a page depends on beside its chunk's latent and index (model, size, precision, settings,
    null text). A page is never written after it is made. Where the clean range is above 1 a page depends on its
    predecessors too; such pages are remade together and not pooled.
    """

    def __init__(self, predictor: Predictor, pool: PagePool, base: str, run_start: int) -> None:
        self.predictor, self.pool, self.base, self.run_start = predictor, pool, base, run_start
        self.by_chunk: dict[int, KVPage] = {}
        self._pooled = predictor.settings.clean_length == 1 and predictor.settings.history_length == 1

    def prepare(self, wanted: Collection[int], latent: Callable[[int], Tensor]) -> None:
        """Hold the pages of the chunks `wanted` and none older; missing ones are made in one forward.

        `latent(index)` gives a finished chunk's [C, T, h, w].
        """
        settings, oldest = self.predictor.settings, min(wanted, default=math.inf)
        self.by_chunk = {index: page for index, page in self.by_chunk.items() if index >= oldest}
        missing = [index for index in sorted(wanted) if index not in self.by_chunk]
        if missing and not self._pooled:
            missing = list(range(max(wanted) + 1))
        latents = {index: latent(index) for index in missing}
        keys = {index: self._key(index, latents[index]) for index in missing} if self._pooled else {}
        self.pool.prefetch(keys.values())
        for index, key in keys.items():
            page = self.pool.get(key)
            if page is not None:
                self.by_chunk[index] = page
                del latents[index]
        if latents:
            plan = plan_history(sorted(latents), settings, self.run_start)
            self.add(self.predictor.encode(plan, [latents[c.chunk] for c in plan.chunks]), latents)

    def add(self, pages: Mapping[int, KVPage], latents: Mapping[int, Tensor]) -> None:
        """Take in pages just made from `latents`, here and in the pool."""
        for index, page in pages.items():
            if page.layers[0].device.type == "cpu":
                page = KVPage(tuple(map(settled, page.layers)))
            self.by_chunk[index] = page
            if self._pooled:
                self.pool.put(self._key(index, latents[index]), page)

    def _key(self, index: int, latent: Tensor) -> str:
        return digest("page", self.base, index, latent)
