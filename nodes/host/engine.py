"""The engine on ComfyUI's wires: ComfyUI places its weights, and its K/V leaves the device when a node is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from magi_core.cache.engine_cache import EngineCache
from magi_core.dit import DiT
from magi_core.dit.memory import sampling_memory
from magi_core.engine import Engine
from magi_core.state import SamplerState

from .attention import ComfyAttention
from .patcher import Patcher, make_room


class PlacedEngine(Engine):
    """patcher: holds the transformer. Clones of it (with a LoRA) share weights, and the engine's memory."""

    PARTS = (*Engine.PARTS, "patcher")

    def __init__(self, dit: DiT, *, patcher: Patcher, cache: EngineCache | None = None, **parts: Any) -> None:
        self.patcher = patcher
        super().__init__(dit, cache=cache or EngineCache(patcher.load_device), **parts)

    @classmethod
    def of(cls, engine: Engine, patcher: Patcher, **parts: Any) -> PlacedEngine:
        """`engine`, whose transformer is in `patcher`."""
        kept = {name: getattr(engine, name) for name in Engine.PARTS if name != "cache"}
        return cls(engine.dit, patcher=patcher, **kept | parts)

    def patched(self, patcher: Patcher, fingerprint: str) -> PlacedEngine:
        """A copy with other weights: `patcher` is a patched clone of this one's, `fingerprint` names the result."""
        own = isinstance(self.attention, ComfyAttention)
        attention = ComfyAttention(patcher) if own else self.attention
        return self.copy(patcher=patcher, fingerprint=fingerprint, attention=attention)

    @contextmanager
    def at_work(self, state: SamplerState, stop: int) -> Iterator[None]:
        need = sampling_memory(
            self.dit.config,
            state.settings,
            width=state.width,
            height=state.height,
            chunks=stop,
            itemsize=self.dit.dtype.itemsize,
            page_budget=self.cache.stats["pages"].budget,
        )
        make_room(self.patcher, need.total)
        try:
            yield
        finally:
            if self.patcher.load_device.type != "cpu":
                self.cache.release_device()
