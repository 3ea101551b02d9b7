"""The engine on ComfyUI's wires: ComfyUI places its weights, and its K/V leaves the device when a run is over."""

from __future__ import annotations

from dataclasses import dataclass

import comfy.model_management as management

from magi_core.cache.engine_cache import EngineCache
from magi_core.engine import Engine
from magi_core.host import OnDevice

from .attention import ComfyAttention
from .patcher import Patcher, make_room


@dataclass(frozen=True, eq=False)
class ComfyHost:
    """A `magi_core.host.Host`. patcher: holds the transformer; clones of it (with a LoRA) share weights."""

    patcher: Patcher

    def loaded_for(self, need: int) -> None:
        make_room(self.patcher, need)

    def room(self) -> int | None:
        return None

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
    own = isinstance(engine.attention, ComfyAttention)
    attention = ComfyAttention(patcher) if own else engine.attention
    return engine.copy(host=ComfyHost(patcher), fingerprint=fingerprint, attention=attention)


def patcher_of(engine: Engine) -> Patcher:
    """What holds the transformer of an engine on a wire."""
    assert isinstance(engine.host, ComfyHost), "every engine on a wire came through `in_comfyui`"
    return engine.host.patcher
