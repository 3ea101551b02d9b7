"""The window plan: which chunks are in flight, at which step, attending to what. Pure functions, no tensors.

A run advances in stages of `steps / window` forwards. At each stage one chunk enters while any is left; a chunk leaves
after `window` stages. So chunks in flight sit one stage apart, the oldest cleanest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from magi_core.config import SamplingSettings


@dataclass(frozen=True)
class Slot:
    """A chunk in flight and the number of stages it has behind it."""

    index: int
    stage: int


@dataclass(frozen=True)
class Sight:
    """What one chunk may attend to. ranges: KV ranges in place of the settings'. first: first chunk that it sees."""

    ranges: tuple[int, ...] | None = None
    first: int = 0


SightOf = Callable[[int], Sight]
"""Sight by chunk index, finished chunks included."""


def everything(index: int) -> Sight:
    """What a chunk sees of which nothing is said: the settings' ranges, without walls."""
    return Sight()


@dataclass(frozen=True)
class PlannedChunk:
    """One chunk of one forward. `attends` is a half-open range of absolute chunk indices, itself included.

    step: Euler steps behind it; for a finished chunk whose K/V page is made, all of them.
    """

    index: int
    step: int
    attends: tuple[int, int]

    @property
    def history(self) -> range:
        """Chunks before it that it attends to."""
        return range(self.attends[0], self.index)


@dataclass(frozen=True)
class ForwardPlan:
    """One step of the chunks in flight, oldest first.

    fresh: the chunk just finished, in the first step after it, where a guided model's text pass encodes that chunk
    under the text's condition and does not read its page.
    """

    chunks: tuple[PlannedChunk, ...]
    fresh: PlannedChunk | None = None

    @property
    def history(self) -> range:
        """Finished chunks whose K/V pages it reads."""
        return range(min(c.attends[0] for c in self.chunks), self.chunks[0].index)


def stages(first: int, count: int, window: int, in_flight: Sequence[Slot] = ()) -> Iterator[tuple[Slot, ...]]:
    """The slots of every stage, oldest first, until `count` chunks from index `first` on and all in flight are done."""
    slots, entering = list(in_flight), list(range(first, first + count))
    while slots or entering:
        if entering:
            slots.append(Slot(entering.pop(0), 0))
        yield tuple(slots)
        slots = [Slot(s.index, s.stage + 1) for s in slots if s.stage + 1 < window]


def plan_stage(
    slots: Sequence[Slot], run_start: int, settings: SamplingSettings, sight: SightOf = everything
) -> Iterator[ForwardPlan]:
    """The forwards of one stage.

    run_start: index of the run's first new chunk. Once the window has moved past it, every stage follows a chunk that
    has just been finished.
    """
    per_stage = settings.steps // settings.window
    oldest = slots[0].index
    for k in range(per_stage):
        steps = [slot.stage * per_stage + k for slot in slots]
        chunks = tuple(
            PlannedChunk(slot.index, step, attended(slot.index, step, settings, sight(slot.index)))
            for slot, step in zip(slots, steps, strict=True)
        )
        follows = k == 0 and oldest > run_start
        yield ForwardPlan(chunks, plan_page(oldest - 1, settings, run_start, sight) if follows else None)


def pages_read(slots: Sequence[Slot], run_start: int, settings: SamplingSettings, sight: SightOf = everything) -> range:
    """Finished chunks whose K/V pages one stage reads, those that the page of the chunk just finished depends on
    included."""
    per_stage = settings.steps // settings.window
    oldest = first = slots[0].index
    for slot in slots:
        own = sight(slot.index)
        ends = (slot.stage * per_stage, (slot.stage + 1) * per_stage - 1)
        table = settings.kv_ranges if own.ranges is None else own.ranges
        if table:
            low, high = (step // (settings.steps // len(table)) for step in ends)
            reach = slot.index + 1 - max(table[low : high + 1])
        else:
            reach = 0
        first = min(first, max(reach, own.first))
    if oldest > run_start:
        first = min(first, plan_page(oldest - 1, settings, run_start, sight).attends[0])
    return range(first, oldest)


def plan_page(
    index: int, settings: SamplingSettings, run_start: int | None = None, sight: SightOf = everything
) -> PlannedChunk:
    """The finished chunk `index` on its way into the K/V cache, in a forward of its own: so a page has the same bits
    whatever is in the works when it is made.

    Chunks before `run_start` (None: all) were finished before the run, the others in it: they may attend differently.
    """
    before = run_start is None or index < run_start
    length = settings.history_length if before else settings.clean_length
    return PlannedChunk(index, settings.steps, _last(length, index, sight(index).first))


def attended(index: int, step: int, settings: SamplingSettings, sight: Sight) -> tuple[int, int]:
    """Half-open range of chunks that chunk `index` attends to at Euler step `step`."""
    table = settings.kv_ranges if sight.ranges is None else sight.ranges
    return _last(table[step // (settings.steps // len(table))] if table else None, index, sight.first)


def history_read(settings: SamplingSettings, start: int) -> range:
    """Finished chunks that a run of new chunks from `start` on depends on, walls aside.

    With clean range 1 the K/V of a finished chunk depends on itself alone; otherwise on its predecessors too.
    """
    longest = max(settings.kv_ranges) if settings.kv_ranges and settings.clean_length == 1 else None
    return range(_last(longest, start)[0], start)


def _last(length: int | None, index: int, first: int = 0) -> tuple[int, int]:
    """Half-open range of the last `length` chunks up to and including `index`, from `first` on; None for all."""
    return max(first, 0 if length is None else index + 1 - length), index + 1
