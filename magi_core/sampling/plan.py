"""The window plan: which chunks are in flight, at which step, attending to what. Pure functions, no tensors.

A run advances in stages of `steps / window` forwards. At each stage one chunk enters while any is left; a chunk leaves
after `window` stages. So chunks in flight sit one stage apart, the oldest cleanest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magi_core.config import SamplingSettings


@dataclass(frozen=True)
class Slot:
    """A chunk in flight and the number of stages it has behind it."""

    chunk: int
    stage: int


@dataclass(frozen=True)
class PlannedChunk:
    """One chunk of one forward. `attends` is a half-open range of absolute chunk indices, itself included.

    step: Euler steps behind it; for a clean chunk that is re-encoded, all of them (`clean` is True).
    """

    chunk: int
    step: int
    attends: tuple[int, int]
    clean: bool = False


@dataclass(frozen=True)
class ForwardPlan:
    """One model call of the sampling loop: its chunks oldest first, led by the re-encoded clean chunk if any."""

    chunks: tuple[PlannedChunk, ...]

    @property
    def reencodes(self) -> bool:
        return self.chunks[0].clean

    @property
    def history(self) -> range:
        """Clean chunks before this forward's own whose K/V pages it reads."""
        return range(min(c.attends[0] for c in self.chunks), self.chunks[0].chunk)


def stages(first: int, count: int, window: int, in_flight: Sequence[Slot] = ()) -> Iterator[tuple[Slot, ...]]:
    """The slots of every stage, oldest first, until `count` chunks from index `first` on and all in flight are done."""
    slots, entering = list(in_flight), list(range(first, first + count))
    while slots or entering:
        if entering:
            slots.append(Slot(entering.pop(0), 0))
        yield tuple(slots)
        slots = [Slot(s.chunk, s.stage + 1) for s in slots if s.stage + 1 < window]


def plan_stage(slots: Sequence[Slot], run_start: int, settings: SamplingSettings) -> Iterator[ForwardPlan]:
    """The forwards of one stage.

    run_start: index of the run's first new chunk. Once the window has moved past it, the first forward of a stage also
    re-encodes the chunk that has just been finished.
    """
    per_stage = settings.steps // settings.window
    oldest = slots[0].chunk
    for k in range(per_stage):
        chunks = tuple(
            PlannedChunk(s.chunk, step := s.stage * per_stage + k, attended(s.chunk, step, settings)) for s in slots
        )
        if k == 0 and oldest > run_start:
            chunks = (_clean(oldest - 1, settings, settings.clean_length), *chunks)
        yield ForwardPlan(chunks)


def plan_history(chunks: Sequence[int], settings: SamplingSettings) -> ForwardPlan:
    """One forward that makes the K/V pages of finished chunks (consecutive indices)."""
    return ForwardPlan(tuple(_clean(chunk, settings, settings.history_length) for chunk in chunks))


def _clean(chunk: int, settings: SamplingSettings, length: int | None) -> PlannedChunk:
    """A finished chunk on its way into the K/V cache."""
    return PlannedChunk(chunk, settings.steps, _last(length, chunk), clean=True)


def attended(chunk: int, step: int, settings: SamplingSettings) -> tuple[int, int]:
    """Half-open range of chunks that `chunk` attends to at Euler step `step`."""
    table = settings.kv_ranges
    return _last(table[step // (settings.steps // len(table))] if table else None, chunk)


def pages_read(settings: SamplingSettings, chunk: int) -> range:
    """Clean chunks before `chunk` that it, in flight or re-encoded, may read at any time."""
    clean, table = settings.clean_length, settings.kv_ranges
    longest = None if not table or clean is None else max(clean, *table)
    return range(_last(longest, chunk)[0], chunk)


def history_needed(settings: SamplingSettings, next_chunk: int) -> range:
    """Clean chunks that have to be encoded together before a run can start at `next_chunk`.

    With clean range 1 a page depends on its own chunk only; otherwise on its predecessors too, so all are remade.
    """
    return pages_read(settings, next_chunk) if settings.clean_length == 1 else range(0, next_chunk)


def _last(length: int | None, chunk: int) -> tuple[int, int]:
    """Half-open range of the last `length` chunks up to and including `chunk`; None for all of them."""
    return (0 if length is None else max(0, chunk + 1 - length)), chunk + 1


def forward_count(new_chunks: int, settings: SamplingSettings) -> int:
    """Model calls (of one guidance pass each) that a run of `new_chunks` chunks makes, history aside."""
    return (new_chunks + settings.window - 1) * (settings.steps // settings.window)
