"""The window plan: which chunks are in flight, at which step, attending to what. Pure functions, no tensors.

A run advances in stages of `steps / window` forwards. At each stage one chunk enters while any is left; a chunk leaves
after `window` stages. So chunks in flight sit one stage apart, the oldest cleanest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def plan_stage(
    slots: Sequence[Slot],
    run_start: int,
    settings: SamplingSettings,
    tables: Mapping[int, tuple[int, ...]] | None = None,
) -> Iterator[ForwardPlan]:
    """The forwards of one stage.

    run_start: index of the run's first new chunk. Once the window has moved past it, the first forward of a stage also
    re-encodes the chunk that has just been finished. tables: KV ranges of single chunks in place of the settings'.
    """
    per_stage = settings.steps // settings.window
    oldest, tables = slots[0].chunk, tables or {}
    for k in range(per_stage):
        steps = [slot.stage * per_stage + k for slot in slots]
        chunks = tuple(
            PlannedChunk(slot.chunk, step, attended(slot.chunk, step, settings, tables.get(slot.chunk)))
            for slot, step in zip(slots, steps, strict=True)
        )
        if k == 0 and oldest > run_start:
            chunks = (_clean(oldest - 1, settings, settings.clean_length), *chunks)
        yield ForwardPlan(chunks)


def plan_history(chunks: Sequence[int], settings: SamplingSettings, run_start: int | None = None) -> ForwardPlan:
    """One forward that makes the K/V pages of finished chunks (consecutive indices).

    Chunks before `run_start` (None: all) were finished before the run, the others in it: they may attend differently.
    """
    before = [run_start is None or chunk < run_start for chunk in chunks]
    lengths = [settings.history_length if old else settings.clean_length for old in before]
    return ForwardPlan(tuple(_clean(chunk, settings, n) for chunk, n in zip(chunks, lengths, strict=True)))


def _clean(chunk: int, settings: SamplingSettings, length: int | None) -> PlannedChunk:
    """A finished chunk on its way into the K/V cache."""
    return PlannedChunk(chunk, settings.steps, _last(length, chunk), clean=True)


def attended(
    chunk: int, step: int, settings: SamplingSettings, table: tuple[int, ...] | None = None
) -> tuple[int, int]:
    """Half-open range of chunks that `chunk` attends to at Euler step `step`, by its own table or the settings'."""
    table = settings.kv_ranges if table is None else table
    return _last(table[step // (settings.steps // len(table))] if table else None, chunk)


def history_read(settings: SamplingSettings, start: int) -> range:
    """Finished chunks that a run of new chunks from `start` on depends on.

    With clean range 1 the K/V of a finished chunk depends on itself alone; otherwise on its predecessors too.
    """
    longest = max(settings.kv_ranges) if settings.kv_ranges and settings.clean_length == 1 else None
    return range(_last(longest, start)[0], start)


def _last(length: int | None, chunk: int) -> tuple[int, int]:
    """Half-open range of the last `length` chunks up to and including `chunk`; None for all of them."""
    return (0 if length is None else max(0, chunk + 1 - length)), chunk + 1
