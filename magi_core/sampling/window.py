"""The window plan: which chunks are in flight, at which step, attending to what. Pure functions, no tensors.

A run advances in stages of `steps / window` forwards. At each stage one chunk enters while any is left; a chunk leaves
after `window` stages. So chunks in flight sit one stage apart, the oldest cleanest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from magi_core.config import SamplingSettings
from magi_core.sampling.drafts import carried_to


@dataclass(frozen=True)
class Slot:
    """A chunk in flight and the number of stages it has behind it."""

    index: int
    stage: int


@dataclass(frozen=True)
class Sight:
    """What one chunk may attend to, and from when on it is looked at for its own sake.

    ranges: KV ranges in place of the settings'. first: first chunk that it sees. release: step from which it is free;
    before, it is tied to its source (`Source`) and runs only where another needs it. None: tied throughout.
    """

    ranges: tuple[int, ...] | None = None
    first: int = 0
    release: int | None = 0


SightOf = Callable[[int], Sight]
"""Sight by chunk index, finished chunks included."""


def everything(index: int) -> Sight:
    """What a chunk sees of which nothing is said: the settings' ranges, without walls."""
    return Sight()


@dataclass(frozen=True)
class PlannedChunk:
    """One chunk of one forward. `attends` is a half-open range of absolute chunk indices, itself included.

    step: Euler steps behind it; for a finished chunk whose K/V page is made, all of them.
    until: Euler step to which its velocity carries it. None: its velocity is not used; it is tied to its source, or
    finished, and there to be attended to, or held in a draft.
    held: it is on its way to where its last velocity carries it, and is attended to as it was then, without running.
    """

    index: int
    step: int
    attends: tuple[int, int]
    until: int | None = None
    held: bool = False

    @property
    def history(self) -> range:
        """Chunks before it that it attends to."""
        return range(self.attends[0], self.index)


@dataclass(frozen=True)
class ForwardPlan:
    """One step of the chunks in flight, oldest first, those left out that are held, or tied and needed by no other.

    step: Euler steps of the stage before it. whole: whether the oldest chunk in flight is among them.
    fresh: the chunk just finished, in the first step after it, where a guided model's text pass encodes that chunk
    under the text's condition and does not read its page.
    keep: of its chunks, those that are held later in the stage and whose K/V is read then.
    """

    chunks: tuple[PlannedChunk, ...]
    fresh: PlannedChunk | None = None
    step: int = 0
    whole: bool = True
    keep: tuple[int, ...] = ()

    @property
    def cleanest(self) -> PlannedChunk | None:
        """The oldest chunk in flight, where its velocity is used."""
        return self.chunks[0] if self.whole and self.chunks[0].until is not None else None

    @property
    def history(self) -> range:
        """Chunks that are not in it and whose K/V it reads: finished, or held, which are the oldest in flight."""
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
    """The forwards of one stage; none for steps at which every chunk is tied to its source, or held in a draft.

    run_start: index of the run's first new chunk. Once the window has moved past it, every stage follows a chunk that
    has just been finished.
    """
    forwards = list(_forwards(slots, run_start, settings, sight))
    for place, forward in enumerate(forwards):
        yield replace(forward, keep=_kept(forward, forwards[place + 1 :])) if settings.draft != "off" else forward


def _forwards(
    slots: Sequence[Slot], run_start: int, settings: SamplingSettings, sight: SightOf
) -> Iterator[ForwardPlan]:
    per_stage = settings.steps // settings.window
    oldest = slots[0].index
    for k in range(per_stage):
        chunks = []
        for slot in slots:
            own, step = sight(slot.index), slot.stage * per_stage + k
            attends = attended(slot.index, step, settings, own)
            until = carried_to(step, own.release, settings)
            held = until is None and own.release == 0
            chunks.append(PlannedChunk(slot.index, step, attends, until, held))
        needed = _needed(chunks)
        if not needed:
            continue
        whole = needed[0].index == oldest
        follows = k == 0 and oldest > run_start and whole
        yield ForwardPlan(needed, plan_page(oldest - 1, settings, run_start, sight) if follows else None, k, whole)


def _needed(chunks: Sequence[PlannedChunk]) -> tuple[PlannedChunk, ...]:
    """Those of `chunks` whose velocity is used, oldest first, and the tied ones that they attend to, directly or by way
    of others."""
    needed: list[PlannedChunk] = []
    read = chunks[-1].index + 1  # from this chunk on, all that are older than one needed are attended to
    for chunk in reversed(chunks):
        if chunk.until is not None or chunk.index >= read and not chunk.held:
            needed.append(chunk)
            read = min(read, chunk.attends[0])
    return tuple(reversed(needed))


def _kept(forward: ForwardPlan, later: Sequence[ForwardPlan]) -> tuple[int, ...]:
    """Chunks of `forward` that are in a history before they run again."""
    left, kept = {chunk.index for chunk in forward.chunks}, set()
    for other in later:
        left -= {chunk.index for chunk in other.chunks}
        kept |= left & set(other.history)
    return tuple(sorted(kept))


def pages_read(slots: Sequence[Slot], run_start: int, settings: SamplingSettings, sight: SightOf = everything) -> range:
    """Finished chunks whose K/V pages one stage reads, those that the page of the chunk just finished depends on
    included."""
    per_stage = settings.steps // settings.window
    oldest = first = slots[0].index
    if settings.draft != "off" or any(sight(slot.index).release != 0 for slot in slots):
        return _read_by(tuple(plan_stage(slots, run_start, settings, sight)), oldest)
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


def _read_by(forwards: Sequence[ForwardPlan], oldest: int) -> range:
    """The same for these forwards, looked at one by one."""
    firsts = [start for forward in forwards if (start := forward.history.start) < oldest]
    firsts += [forward.fresh.attends[0] for forward in forwards if forward.fresh is not None]
    return range(min(firsts, default=oldest), oldest)


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
    return range(_last(settings.longest_range, start)[0], start)


def _last(length: int | None, index: int, first: int = 0) -> tuple[int, int]:
    """Half-open range of the last `length` chunks up to and including `index`, from `first` on; None for all."""
    return max(first, 0 if length is None else index + 1 - length), index + 1
