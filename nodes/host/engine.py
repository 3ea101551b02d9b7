"""The engine on ComfyUI's wires: ComfyUI places its weights, and its K/V leaves the device when a run is over."""

from __future__ import annotations

from dataclasses import dataclass, replace

import comfy.model_management as management

from magi_core.budget.amounts import OF_THE_DRIVER
from magi_core.cache.engine_cache import EngineCache
from magi_core.engine import Engine
from magi_core.host import OnDevice

from .attention import ComfyAttention
from .patcher import Patcher, forget_room, keep_room


@dataclass(frozen=True, eq=False)
class ComfyHost:
    """A `magi_core.host.Host`. patcher: holds the transformer; clones of it (with a LoRA) share weights.
    allowed: bytes of the device that the model and its runs keep to; None leaves that to ComfyUI, as does its dynamic
    VRAM, which places weights by itself. Where the model does not fit them whole, or a run alone takes the card, K/V
    pages wait in main memory, under dynamic VRAM too. block: bytes of the largest block, which dynamic VRAM may have to
    fetch for as long as the block's turn lasts.
    """

    patcher: Patcher
    allowed: int | None = None
    block: int = 0

    def loaded_for(self, need: int) -> None:
        keep_room(self.patcher, need + (self.block if _is_dynamic(self.patcher) else 0), self._budget)

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
        if self.allowed is None or self.patcher.load_device.type == "cpu" or _is_dynamic(self.patcher):
            return None
        return self.allowed

    def spare(self, need: int) -> int | None:
        device = self.patcher.load_device
        if device.type == "cpu":
            return None
        allowed = int(management.get_total_memory(device)) - OF_THE_DRIVER if self.allowed is None else self.allowed
        return max(0, allowed - int(self.patcher.model_size()) - need)

    def release(self, kept: OnDevice) -> None:
        forget_room(self.patcher)
        if self.patcher.load_device.type != "cpu":
            kept.release_device()

    def cancelled(self) -> bool:
        return management.processing_interrupted()


def _is_dynamic(patcher: Patcher) -> bool:
    asked = getattr(patcher, "is_dynamic", None)  # not there before ComfyUI had dynamic VRAM
    return asked is not None and asked()


def in_comfyui(engine: Engine, patcher: Patcher) -> Engine:
    """`engine`, whose transformer is in `patcher`; what it remembers is on the device where that works."""
    block = max(sum(weight.nbytes for weight in block.parameters()) for block in engine.dit.videodit_blocks)
    return engine.copy(host=ComfyHost(patcher, block=block), cache=EngineCache(patcher.load_device))


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
    """A copy that keeps to `allowed` bytes of the device."""
    assert isinstance(engine.host, ComfyHost), "every engine on a wire came through `in_comfyui`"
    return engine.copy(host=replace(engine.host, allowed=allowed))
