"""What a run costs before it starts, in chunk-forwards: chunks in all model calls of all guidance passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from magi_core.config import SamplingSettings
from magi_core.sampling.guidance import pass_weights
from magi_core.sampling.timesteps import timesteps
from magi_core.sampling.window import ForwardPlan, Slot, plan_stage


@dataclass(frozen=True)
class Cost:
    """Chunk-forwards. steps: of the sampling loop. pages: of finished chunks whose K/V is not remembered."""

    steps: int = 0
    pages: int = 0

    @property
    def total(self) -> int:
        return self.steps + self.pages

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.steps + other.steps, self.pages + other.pages)


@dataclass(frozen=True)
class StageCost:
    """What one stage of a run takes. forwards: model calls, guidance passes counted as one, pages aside. The pages are
    made before the first of them."""

    forwards: int
    cost: Cost


def stage_cost(slots: Sequence[Slot], run_start: int, settings: SamplingSettings, distill: bool) -> int:
    """Chunk-forwards of one stage, K/V pages aside."""
    return _stage_cost(tuple(slot.stage for slot in slots), slots[0].index > run_start, settings, distill)


@lru_cache(maxsize=1024)
def _stage_cost(places: tuple[int, ...], follows: bool, settings: SamplingSettings, distill: bool) -> int:
    """A stage costs the same wherever in the video it is."""
    slots = [Slot(index + 1, stage) for index, stage in enumerate(places)]
    grid = timesteps(settings.steps, settings.shortcut)
    return sum(
        _forward_cost(forward, settings, distill, [float(grid[c.step]) for c in forward.chunks])
        for forward in plan_stage(slots, 0 if follows else 1, settings)
    )


def _forward_cost(plan: ForwardPlan, settings: SamplingSettings, distill: bool, times: Sequence[float]) -> int:
    chunks = len(plan.chunks)
    if distill:
        return chunks + (times[0] > settings.nearly_clean_threshold)
    weights = [pass_weights(settings.guidance, t) for t in times]
    text = chunks + (plan.fresh is not None) if any(w.text for w in weights) else 0
    return chunks + text + sum(bool(w.alone) for w in weights)
