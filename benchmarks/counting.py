"""Counting what the transformer was asked for: model calls and chunk-forwards, and how long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from magi_core.dit import DiT


@dataclass(frozen=True)
class Count:
    """calls: of the model. chunks: chunks in all calls, all guidance passes. seconds: from `taken` to `taken`."""

    calls: int
    chunks: int
    seconds: float


@dataclass
class Counter:
    """Watches one transformer. calls are counted before they run; `longest` is the slowest finished one in seconds."""

    dit: DiT
    calls: int = 0
    chunks: int = 0
    longest: float = 0.0
    _since: float = field(default_factory=time.perf_counter)
    _began: float = 0.0

    def __post_init__(self) -> None:
        self.dit.register_forward_pre_hook(self._before)
        self.dit.register_forward_hook(self._after)

    def _before(self, _module: DiT, inputs: tuple[Any, ...]) -> None:
        _, timesteps, *_ = inputs
        self.calls += 1
        self.chunks += timesteps.shape[1]
        self._began = time.perf_counter()

    def _after(self, *_: Any) -> None:
        self.longest = max(self.longest, time.perf_counter() - self._began)

    def taken(self) -> Count:
        """What was counted since the last call, which starts anew."""
        now = time.perf_counter()
        count = Count(self.calls, self.chunks, now - self._since)
        self.calls = self.chunks = 0
        self._since = now
        return count

    def of(self, work: Callable[[], Any]) -> tuple[Any, Count]:
        """The result of `work` and what it took."""
        self.taken()
        result = work()
        return result, self.taken()
