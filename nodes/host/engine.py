"""The engine on ComfyUI's wires: ComfyUI places its weights, and its K/V leaves the device when a run is over."""

from __future__ import annotations

from dataclasses import dataclass, replace

import comfy.model_management as management

from magi_core.budget.amounts import OF_THE_DRIVER
from magi_core.cache.engine_cache import EngineCache
from magi_core.engine import Engine
from magi_core.host import OnDevice

from .attention import ComfyAttention
from .patcher import Patcher, make_room


@dataclass(frozen=True, eq=False)
class ComfyHost:
    """A `magi_core.host.Host`. patcher: holds the transformer; clones of it (with a LoRA) share weights.
    allowed: bytes of the device that the model and its runs keep to; None leaves that to ComfyUI, as does its dynamic
    VRAM, which places weights by itself. Where the model does not fit them whole, or a run alone takes the card, K/V
    pages wait in main memory, under dynamic VRAM too."""

    patcher: Patcher
    allowed: int | None = None

    def loaded_for(self, need: int) -> None:
        make_room(self.patcher, need, self._budget)

    def room(self) -> int | None:
        return self._budget

    def fits(self, need: int) -> bool:
        device = self.patcher.load_device
        if device.type == "cpu":
            return True
        if self.allowed is None:  # weights are ComfyUI's to place, but a run that takes all of the card leaves none
            return need + OF_THE_DRIVER <= int(management.get_total_memory(device))
        return int(self.patcher.model_size()) + need <= self.allowed

    @property
    def _budget(self) -> int | None:
        if self.allowed is None or self.patcher.load_device.type == "cpu" or self.patcher.is_dynamic():
            return None
        return self.allowed

    def release(self, kept: OnDevice) -> None:
        if self.patcher.load_device.type != "cpu":
            kept.release_device()

    def cancelled(self) -> bool:
        return management.processing_interrupted()


def in_comfyui(engine: Engine, patcher: Patcher) -> Engine:
    """`engine`, whose transformer is in `patcher`; what it remembers is on the device where that works."""
    return engine.copy(host=ComfyHost(patcher), cache=EngineCache(patcher.load_device))


def patched(engine: Engine, patcher: Patcher, fingerprint: str) -> Engine:
    """A copy with other weights: `patcher` is a patched clone of the engine's own, `fingerprint` names the result."""
    assert isinstance(engine.host, ComfyHost), "every engine on a wire came through `in_comfyui`"
    host = replace(engine.host, patcher=patcher)
    own = isinstance(engine.attention, ComfyAttention)
    attention = ComfyAttention(patcher) if own else engine.attention
    return engine.copy(host=host, fingerprint=fingerprint, attention=attention)


def patcher_of(engine: Engine) -> Patcher:
    """What holds the transformer of an engine on a wire."""
    assert isinstance(engine.host, ComfyHost), "every engine on a wire came through `in_comfyui`"
    return engine.host.patcher


def within(engine: Engine, allowed: int) -> Engine:
    """A copy that keeps to `allowed` bytes of the device; of its K/V pages a tenth of that stays there between runs."""
    assert isinstance(engine.host, ComfyHost), "every engine on a wire came through `in_comfyui`"
    cache = engine.cache.with_page_budgets(device_bytes=min(allowed // 10, engine.cache.pages.stats.budget))
    return engine.copy(host=replace(engine.host, allowed=allowed), cache=cache)
