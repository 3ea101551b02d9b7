"""The window plan: which chunks are in flight, at which step, attending to what. Pure functions, no tensors.

A run advances in stages of `steps / window` forwards. At each stage one chunk enters while any is left; a chunk leaves
after `window` stages. So chunks in flight sit one stage apart, the oldest cleanest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError

TRANSITIONS = ("continue", "new_shot", "restyle", "cut")


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


def transition_ranges(transition: str, kv_ranges: tuple[int, ...]) -> tuple[int, ...] | None:
    """KV ranges of a chunk that follows by `transition`, where the settings' table is `kv_ranges`; None: the settings'.

    new_shot: alone while noisy, so the layout is new and identities stay. restyle: alone while nearly clean, so the
    layout stays and details are new. cut: alone throughout, nothing stays. A table of odd length keeps its middle.
    Raises `MagiError` where the table has no two halves. Source: MAGI-1 report, shot transitions.
    """
    if transition not in TRANSITIONS:
        raise MagiError(f"unknown transition {transition!r}: use {', '.join(TRANSITIONS)}")
    if transition == "continue":
        return None
    if transition == "cut":
        return (1,) * max(1, len(kv_ranges))
    half = len(kv_ranges) // 2
    if not half:
        given = "only one KV range" if kv_ranges else "no KV ranges (every chunk sees the whole history)"
        raise MagiError(
            f"'{transition}' changes half of a chunk's KV ranges, but the settings have {given}: give at least two, "
            "such as 5, 4, 3, 2, or use 'cut'"
        )
    alone = (1,) * half
    return alone + kv_ranges[half:] if transition == "new_shot" else kv_ranges[:-half] + alone


def chunk_ranges(transition: str, own: tuple[int, ...] | None, settings: SamplingSettings) -> tuple[int, ...] | None:
    """KV ranges of one chunk in place of the settings', or None: by its transition, or else its `own`.

    Raises `MagiError` for ranges that cannot share the steps, or reach further back than the settings' table does: a
    chunk's cost and the finished chunks a run reads stay what they are.
    """
    if transition != "continue" or own is None:
        return transition_ranges(transition, settings.kv_ranges)
    if settings.steps % len(own):
        lengths = [n for n in range(1, 2 * len(own)) if settings.steps % n == 0]
        raise MagiError(
            f"{len(own)} KV ranges cannot share {settings.steps} steps evenly: give {' or '.join(map(str, lengths))}"
        )
    if settings.kv_ranges and max(own) > max(settings.kv_ranges):
        raise MagiError(
            f"a KV range of {max(own)} reaches further back than the settings allow: use at most "
            f"{max(settings.kv_ranges)}, or raise the settings' KV ranges"
        )
    return own


def history_read(settings: SamplingSettings, start: int) -> range:
    """Finished chunks that a run of new chunks from `start` on depends on.

    With clean range 1 the K/V of a finished chunk depends on itself alone; otherwise on its predecessors too.
    """
    longest = max(settings.kv_ranges) if settings.kv_ranges and settings.clean_length == 1 else None
    return range(_last(longest, start)[0], start)


def _last(length: int | None, chunk: int) -> tuple[int, int]:
    """Half-open range of the last `length` chunks up to and including `chunk`; None for all of them."""
    return (0 if length is None else max(0, chunk + 1 - length)), chunk + 1
