"""What a run costs before it starts, in chunk-forwards: chunks in all model calls of all guidance passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit.memory import chunk_tokens
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
class ForwardCost:
    """What one forward takes. calls: of the model. chunks: chunk-forwards. read: chunks that those
    attend to, themselves included, walls aside."""

    calls: int
    chunks: int
    read: int


@dataclass(frozen=True)
class StageCost:
    """What one stage of a run takes. each: its forwards, guidance passes counted as one, pages aside. The pages are
    made before the first of them."""

    each: tuple[ForwardCost, ...]
    pages: int = 0

    @property
    def forwards(self) -> int:
        return len(self.each)

    @property
    def cost(self) -> Cost:
        return Cost(sum(forward.chunks for forward in self.each), self.pages)


def look_cost(config: DiTConfig, width: int, height: int) -> float:
    """What attending to one chunk takes, in chunk-forwards: its multiplications against those of the other layers."""
    hidden, inner = config.hidden_size, config.ffn_hidden_size
    others = 4 * hidden + 2 * config.num_groups * config.head_dim + inner * (3 if config.gated else 2)
    return 2 * chunk_tokens(config, width, height) / others


def stage_cost(
    slots: Sequence[Slot], run_start: int, settings: SamplingSettings, distill: bool, sight: SightOf
) -> StageCost:
    """What one stage costs, K/V pages aside."""
    sights = [sight(slot.index) for slot in slots]
    oldest, longest = slots[0].index, settings.longest_range
    seen = None  # what chunks see makes no difference where all of them run
    if any(own.release != 0 for own in sights):
        seen = tuple(Sight(own.ranges, max(0, own.first - oldest), own.release) for own in sights)
    before = oldest if longest is None else min(oldest, longest)
    return _stage_cost(tuple(slot.stage for slot in slots), oldest > run_start, before, settings, distill, seen)


@lru_cache(maxsize=1024)
def _stage_cost(
    places: tuple[int, ...],
    follows: bool,
    before: int,
    settings: SamplingSettings,
    distill: bool,
    sights: tuple[Sight, ...] | None,
) -> StageCost:
    """A stage costs the same wherever in the video it is, but for the chunks `before` it that are there to be read.
    sights: chunks counted from the oldest in flight on."""
    slots = [Slot(before + place, stage) for place, stage in enumerate(places)]
    grid = timesteps(settings.steps, settings.shortcut)

    def sight(index: int) -> Sight:
        own = sights[index - before] if sights and index >= before else Sight()
        return Sight(own.ranges, own.first + before if own.first else 0, own.release)

    forwards = list(plan_stage(slots, before - 1 if follows else before, settings, sight))
    times = [[float(grid[c.step]) for c in forward.chunks] for forward in forwards]
    each = (_forward_cost(*forward, settings, distill) for forward in zip(forwards, times, strict=True))
    return StageCost(tuple(each))


def _forward_cost(plan: ForwardPlan, times: Sequence[float], settings: SamplingSettings, distill: bool) -> ForwardCost:
    chunks, reads = len(plan.chunks), [chunk.attends[1] - chunk.attends[0] for chunk in plan.chunks]
    if distill:
        again = plan.cleanest is not None and times[0] > settings.nearly_clean_threshold
        return ForwardCost(1, chunks + again, sum(reads) + again)
    weights = [
        NOT_ASKED if chunk.until is None else pass_weights(settings.guidance, t)
        for chunk, t in zip(plan.chunks, times, strict=True)
    ]
    alone, text, fresh = sum(bool(w.alone) for w in weights), any(w.text for w in weights), plan.fresh is not None
    return ForwardCost(
        calls=1 + (1 + fresh if text else 0) + bool(alone),
        chunks=chunks + (chunks + fresh if text else 0) + alone,
        read=sum(reads) + (sum(reads) + fresh if text else 0) + alone,
    )
