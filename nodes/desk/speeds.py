"""How fast forwards of a model at a size were on this machine, so that seconds can be told before a run."""

from __future__ import annotations

from magi_core.digest import digest
from magi_core.sampling.extension import Extension

from .pace import Speed, Work, works
from .store import Store


class Speeds:
    """store: where they are kept."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, extension: Extension, device: str) -> Speed | None:
        """The last run like this one; None where there was none."""
        found = self.store.speeds().get(_like(extension, device))
        return None if found is None else Speed(*found)

    def seconds(self, extension: Extension, device: str, look: float, clips: bool) -> float | None:
        """What a run like it would take, with its clips or without; None where there was none."""
        speed = self.of(extension, device)
        if speed is None:
            return None
        made = sum(chunk.kind == "computed" for chunk in extension.chunks) if clips else 0
        return round(speed.seconds(sum(works(extension.stages, look), Work(0, 0))) + made * speed.clip, 1)

    def keep(self, extension: Extension, device: str, speed: Speed) -> None:
        self.store.keep_speed(_like(extension, device), [speed.call, speed.chunk, speed.clip])


def _like(extension: Extension, device: str) -> str:
    """What a forward's time depends on most: the model, the size, what computes."""
    state = extension.begun
    return digest("pace", extension.model_key, state.width, state.height, device)
