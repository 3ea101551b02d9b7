"""Planning an extend: from a state and what is said about new chunks to an `Extension`, without running any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from magi_core.cache.engine_cache import EngineCache
from magi_core.config import VIDEO_FRAMES_PER_CHUNK, SamplingSettings
from magi_core.digest import digest
from magi_core.dit import KVLayer, KVPage
from magi_core.dit.memory import SamplingMemory, chunk_tokens, page_bytes, sampling_memory
from magi_core.sampling.cost import Cost, stage_cost
from magi_core.sampling.extension import ChunkFate, Extension, Kind, NewChunk, Recalled, Run
from magi_core.sampling.handoff import start
from magi_core.sampling.keys import ChunkKeys
from magi_core.sampling.pages import PageBook
from magi_core.sampling.sampler import Sampler
from magi_core.sampling.window import Sight, pages_read
from magi_core.state import Frontier, PlacedChunk, SamplerState
from magi_core.state.chunk import placed
from magi_core.state.frontier import frontier_key
from magi_core.story.direction import Direction, check_ranges, prompt_of, spec_of
from magi_core.story.transitions import chunk_ranges
from magi_core.text.chunk_text import AskedText, ChunkText, ChunkTexts


def plan(
    engine: Sampler,
    state: SamplerState,
    directions: Sequence[Direction],
    *,
    handoff: str,
    drain: bool,
    settings: SamplingSettings | None = None,
    end: int | None = None,
) -> Extension:
    """What extending `state` by a chunk for each of `directions` takes; none finishes what is in flight.

    Raises `MagiError` for what cannot be done. See `Engine.plan`.
    """
    check_ranges(directions, settings or state.settings)
    begun, frontier = start(engine, state, handoff, settings)
    new = _new_chunks(engine, begun, frontier, directions)
    stop = begun.finished + len(new)
    parts = _Parts(begun, frontier, new, engine.cache, drain).found()
    planned = Extension(
        given=state,
        begun=begun,
        chunks=_fates(begun, new, parts),
        new=new,
        sights=_sights(begun.settings, new, parts),
        run_start=frontier.run_start,
        parts=parts,
        drain=drain,
        frontier=_final_frontier(begun, frontier, new, parts, engine.cache),
        cost=Cost(),
        forwards=0,
        need=_need(engine, begun, stop),
        model_key=engine.model_key,
        end=None if end is None or end >= stop * VIDEO_FRAMES_PER_CHUNK else end,
    )
    stages = begun.settings.steps // begun.settings.window
    runs = [run for run in parts if isinstance(run, Run)]
    forwards = sum(len(run.plan(begun.settings.window)) * stages for run in runs)
    return replace(planned, cost=_cost(engine, planned, runs), forwards=forwards)


def page_base(engine: Sampler, state: SamplerState) -> str:
    """Digest of what a K/V page depends on beside its chunk."""
    settings = state.settings
    schedule = (settings.clean_t, settings.steps, settings.shortcut)
    return digest(engine.model_key, state.latent_shape, schedule, engine.texts.null(settings).key)


def together(settings: SamplingSettings) -> bool:
    """Whether a page depends on the pages before it."""
    return not settings.clean_length == settings.history_length == 1


def _new_chunks(
    engine: Sampler, state: SamplerState, frontier: Frontier, directions: Sequence[Direction]
) -> dict[int, NewChunk]:
    """Every chunk that is not finished yet, by index: in flight, to begin again, new."""
    settings = state.settings
    specs = [spec_of(direction) for direction in directions]
    entering = placed(specs, index=state.next_chunk, seed=state.seed, wall=state.wall)
    texts: list[AskedText | ChunkText] = _texts(engine.texts, state, entering, directions)
    if frontier.next_chunk < state.next_chunk:  # what was in flight cannot be taken over
        again = state.pending
        entering = [*(replace(chunk.at, key="") for chunk in again), *entering]
        texts = [*(chunk.text for chunk in again), *texts]
    ranges = [_ranges(chunk, settings) for chunk in entering]
    keys = [text.key for text in texts]
    chained = ChunkKeys.of(state, engine.model_key, frontier).chain(list(zip(entering, keys, ranges, strict=True)))
    flying = [NewChunk(chunk.at, chunk.text, _ranges(chunk.at, settings)) for chunk in frontier.chunks]
    new = [*flying, *map(NewChunk, chained, texts, ranges)]
    return {chunk.at.index: chunk for chunk in new if chunk.at.index >= state.finished}


def _texts(
    texts: ChunkTexts, state: SamplerState, entering: Sequence[PlacedChunk], directions: Sequence[Direction]
) -> list[AskedText | ChunkText]:
    """The text of every new chunk. What many chunks share is asked for once."""
    asked: dict[object, AskedText] = {}
    found: list[AskedText | ChunkText] = []
    for chunk, direction in zip(entering, directions, strict=True):
        total, prompt = state.total_chunks, prompt_of(direction)
        to_come = None if total is None else total - (chunk.index - state.first_chunk)
        names = chunk.spec.special_tokens
        same = (prompt if isinstance(prompt, str) else id(prompt), names, to_come)
        if same not in asked:
            asked[same] = texts.ask(state.settings, prompt, to_come, names)
        found.append(asked[same])
    return found


class _Parts:
    """Finds what of an extend is remembered, and from where the rest is computed."""

    def __init__(
        self, state: SamplerState, frontier: Frontier, new: Mapping[int, NewChunk], cache: EngineCache, drain: bool
    ) -> None:
        self.state, self.frontier, self.new, self.cache, self.drain = state, frontier, new, cache, drain
        self.window, self.stop = state.settings.window, state.finished + len(new)
        self.walls = self._walls()
        self._looked_up: dict[tuple[int, int], Frontier | None] = {}

    def found(self) -> tuple[Recalled | Run, ...]:
        latents = {index: self.cache.chunks.peek(chunk.at.key) for index, chunk in self.new.items()}
        missing = [index for index, latent in latents.items() if latent is None]
        if missing and not self.drain:  # from there on everything is left in flight
            missing = list(range(missing[0], self.stop))
        parts: list[Recalled | Run] = []
        runs = self._runs(missing)
        for index, latent in latents.items():
            if runs and index == runs[0][0]:
                parts.append(runs[0][1])
            if runs and index >= runs[0][0]:
                if index == runs[0][1].last:
                    del runs[0]
                continue
            assert latent is not None
            parts.append(Recalled(self.new[index].at, latent))
        return tuple(parts)

    def _runs(self, missing: Sequence[int]) -> list[tuple[int, Run]]:
        """Pieces to compute, each with the first chunk it is needed for."""
        pieces: list[tuple[int, Frontier, int]] = []  # needed for, from, up to
        for index in missing:
            if pieces and index <= pieces[-1][2]:  # finished on the way
                continue
            begin = self._start_for(index)
            if pieces and begin.next_chunk <= pieces[-1][2] + 1:
                needed, first, _ = pieces[-1]
                pieces[-1] = (needed, first, index)
            else:
                pieces.append((index, begin, max(index, begin.next_chunk - 1)))
        runs = []
        for needed, begin, last in pieces:
            entering = tuple(self.new[index] for index in range(begin.next_chunk, last + 1))
            runs.append((needed, Run(begin, entering, self.drain or last + 1 < self.stop)))
        return runs

    def _start_for(self, index: int) -> Frontier:
        """The latest point from which chunk `index` can be computed."""
        fresh = max((wall for wall in self.walls if wall <= index), default=None)
        base = self.frontier if fresh is None else Frontier((), fresh, fresh)
        for count in range(min(self.stop, index + self.window - 1), base.next_chunk, -1):
            for first in (self.frontier.run_start, *(() if fresh is None else (fresh,))):
                found = self._remembered(count, first)
                if found is not None and found.oldest <= index:
                    return found
        return base

    def _remembered(self, count: int, run_start: int) -> Frontier | None:
        place = (count, run_start)
        if place not in self._looked_up:
            key = planned_frontier_key(self.state, self.frontier, self.new, count, run_start)
            self._looked_up[place] = self.cache.frontiers.peek(key)
        return self._looked_up[place]

    def _walls(self) -> list[int]:
        """Chunks at which the run can begin anew: a cut, across which no chunk looks that is in the works together with
        one before it, and which is far enough from the end to leave the pipeline there whole."""
        reach = self.window - 1
        return [
            wall
            for wall, chunk in self.new.items()
            if chunk.at.wall == wall and self.frontier.next_chunk <= wall <= self.stop - reach
            if all(self.new[index].at.sight >= wall for index in range(wall, wall + reach))
        ]


def planned_frontier_key(
    state: SamplerState, frontier: Frontier, new: Mapping[int, NewChunk], count: int, run_start: int
) -> str:
    """Key of the frontier before chunk `count` in a run from `run_start` on."""
    flying = {chunk.index: chunk.key for chunk in frontier.chunks}

    def key(index: int) -> str:
        if index in new:
            return new[index].at.key
        return flying[index] if index in flying else state.chunk_key(index)

    oldest = max(run_start, count - state.settings.window + 1)
    return frontier_key(count, [key(index) for index in range(oldest, count)], key(count - 1))


def _final_frontier(
    state: SamplerState,
    frontier: Frontier,
    new: Mapping[int, NewChunk],
    parts: Sequence[Recalled | Run],
    cache: EngineCache,
) -> Frontier | None:
    """The pipeline after an extend whose last chunk is remembered, if the pipeline is too."""
    if not parts or isinstance(parts[-1], Run):
        return None
    stop = state.finished + len(new)
    last = new[stop - 1].at
    for first in (frontier.run_start, last.wall):
        found = cache.frontiers.peek(planned_frontier_key(state, frontier, new, stop, first))
        if found is not None:
            return found
    return None


def _sights(
    settings: SamplingSettings, new: Mapping[int, NewChunk], parts: Sequence[Recalled | Run]
) -> dict[int, Sight]:
    """What the chunks in the works may see; those that are finished already may be redone together with new ones."""
    flying = [chunk.at for part in parts if isinstance(part, Run) for chunk in part.frontier.chunks]
    redone = {chunk.index: Sight(_ranges(chunk, settings), chunk.sight) for chunk in flying}
    return redone | {index: chunk.sight for index, chunk in new.items()}


def _ranges(chunk: PlacedChunk, settings: SamplingSettings) -> tuple[int, ...] | None:
    return chunk_ranges(chunk.spec.transition, chunk.spec.kv_ranges, settings)


def _fates(state: SamplerState, new: Mapping[int, NewChunk], parts: Sequence[Recalled | Run]) -> tuple[ChunkFate, ...]:
    recalled = {part.at.index for part in parts if isinstance(part, Recalled)}
    kept = [ChunkFate(index, state.chunk_key(index), "kept") for index in range(state.finished)]
    kinds: dict[int, Kind] = {index: "remembered" if index in recalled else "computed" for index in new}
    return (*kept, *(ChunkFate(index, chunk.at.key, kinds[index]) for index, chunk in new.items()))


def _need(engine: Sampler, state: SamplerState, chunks: int) -> SamplingMemory:
    return sampling_memory(
        engine.dit.config,
        state.settings,
        width=state.width,
        height=state.height,
        chunks=chunks,
        itemsize=engine.dit.dtype.itemsize,
        page_budget=engine.cache.stats["pages"].budget,
    )


def _cost(engine: Sampler, extension: Extension, runs: Sequence[Run]) -> Cost:
    """The steps, counted from the window plan; the pages to rebuild, by rehearsing the runs on a copy of the pool."""
    state, distill, cost = extension.begun, engine.dit.config.distill, Cost()
    settings, pool = state.settings, engine.cache.pages.rehearsal()
    page = _page_of(engine, state)
    for run in runs:
        rebuilt: list[int] = []

        def make(chunks: Sequence[int], rebuilt: list[int] = rebuilt) -> Mapping[int, KVPage]:
            rebuilt.extend(chunks)
            return dict.fromkeys(chunks, page)

        seen = (lambda index: extension.sight(index).first) if together(settings) else None
        book = PageBook(pool, page_base(engine, state), extension.key, seen)
        steps, run_start = 0, run.frontier.run_start
        for slots in run.plan(settings.window):
            steps += stage_cost(slots, run_start, settings, distill)
            book.prepare(pages_read(slots, run_start, settings, extension.sight), make)
            if slots[0].index > run_start:
                book.add({slots[0].index - 1: page})
        cost += Cost(steps, len(rebuilt))
    return cost


def _page_of(engine: Sampler, state: SamplerState) -> KVPage:
    """A page's size without its numbers."""
    size = page_bytes(engine.dit.config, chunk_tokens(engine.dit.config, state.width, state.height), 1)
    return KVPage((KVLayer(torch.empty(size, dtype=engine.dit.dtype, device="meta")),))
