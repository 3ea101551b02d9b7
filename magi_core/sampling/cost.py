"""What a run costs before it starts, in chunk-forwards: chunks in all model calls of all guidance passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from magi_core.config import SamplingSettings
from magi_core.sampling.guidance import NOT_ASKED, pass_weights
from magi_core.sampling.timesteps import timesteps
from magi_core.sampling.window import ForwardPlan, Sight, SightOf, Slot, plan_stage


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


def stage_cost(
    slots: Sequence[Slot], run_start: int, settings: SamplingSettings, distill: bool, sight: SightOf
) -> StageCost:
    """What one stage costs, K/V pages aside."""
    sights = [sight(slot.index) for slot in slots]
    oldest = slots[0].index
    seen = None  # what chunks see makes no difference where all of them run
    if any(own.release != 0 for own in sights):
        seen = tuple(Sight(own.ranges, max(0, own.first - oldest), own.release) for own in sights)
    return _stage_cost(tuple(slot.stage for slot in slots), oldest > run_start, settings, distill, seen)


@lru_cache(maxsize=1024)
def _stage_cost(
    places: tuple[int, ...], follows: bool, settings: SamplingSettings, distill: bool, sights: tuple[Sight, ...] | None
) -> StageCost:
    """A stage costs the same wherever in the video it is. sights: chunks counted from the oldest in flight on."""
    slots = [Slot(index + 1, stage) for index, stage in enumerate(places)]
    grid = timesteps(settings.steps, settings.shortcut)

    def sight(index: int) -> Sight:
        own = sights[index - 1] if sights and index >= 1 else Sight()
        return Sight(own.ranges, own.first + 1 if own.first else 0, own.release)

    forwards = list(plan_stage(slots, 0 if follows else 1, settings, sight))
    times = [[float(grid[c.step]) for c in forward.chunks] for forward in forwards]
    steps = sum(_forward_cost(*forward, settings, distill) for forward in zip(forwards, times, strict=True))
    return StageCost(len(forwards), Cost(steps))


def _forward_cost(plan: ForwardPlan, times: Sequence[float], settings: SamplingSettings, distill: bool) -> int:
    chunks = len(plan.chunks)
    if distill:
        return chunks + (plan.cleanest is not None and times[0] > settings.nearly_clean_threshold)
    weights = [
        NOT_ASKED if chunk.tied else pass_weights(settings.guidance, t)
        for chunk, t in zip(plan.chunks, times, strict=True)
    ]
    text = chunks + (plan.fresh is not None) if any(w.text for w in weights) else 0
    return chunks + text + sum(bool(w.alone) for w in weights)
