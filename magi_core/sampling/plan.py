"""Planning an extend: from a state and what is said about new chunks to an `Extension`, without running any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from magi_core.cache.engine_cache import EngineCache
from magi_core.cache.page_pool import PagePool
from magi_core.config import VIDEO_FRAMES_PER_CHUNK, SamplingSettings
from magi_core.digest import digest
from magi_core.dit import KVLayer, KVPage
from magi_core.dit.memory import SamplingMemory, chunk_tokens, page_bytes, sampling_memory
from magi_core.errors import MagiError
from magi_core.kernels.fast import has_fast_forms
from magi_core.sampling.asked import new_chunks, ranges_of
from magi_core.sampling.broken_off import start_of
from magi_core.sampling.cost import StageCost, stage_cost
from magi_core.sampling.drafts import check_draft, pages_held
from magi_core.sampling.extension import ChunkFate, Extension, Kind, NewChunk, Piece, Recalled
from magi_core.sampling.handoff import differences, remembered_frontier
from magi_core.sampling.joining import Joining
from magi_core.sampling.keys import planned_frontier_key
from magi_core.sampling.pages import PageBook
from magi_core.sampling.sampler import Sampler
from magi_core.sampling.second_pass import SecondPass, directed, notes_on
from magi_core.sampling.timesteps import step_factor, step_intervals
from magi_core.sampling.window import Sight, pages_read, plan_page
from magi_core.state import ChunkRecord, Frontier, SamplerState, other_vae
from magi_core.state.describe import counted
from magi_core.story.direction import Direction, check_ranges
from magi_core.text.conditioning import NULL_TEXT_LENGTH


def plan(
    engine: Sampler,
    state: SamplerState,
    directions: Sequence[Direction],
    *,
    handoff: str,
    drain: bool,
    settings: SamplingSettings | None = None,
    end: int | None = None,
    second: SecondPass | None = None,
) -> Extension:
    """What extending `state` by a chunk for each of `directions` takes; none finishes what is in flight.

    Raises `MagiError` for what cannot be done. See `Engine.plan`.
    """
    settings, left_out = _whole(state, settings, second)
    check_schedule(settings or state.settings, engine.dit.config.distill)
    check_ranges(directions, settings or state.settings)
    going_on = start_of(engine, state, directed(second, state, directions), handoff, settings, second)
    begun, frontier, run_start = going_on.begun, going_on.frontier, going_on.run_start
    new = new_chunks(engine, begun, replace(frontier, run_start=run_start), going_on.directions, second)
    stop = begun.finished + len(new)
    end_of_take, note = _end_kept(engine, begun, new, second) if drain else (None, "")
    of_source = [] if second is None else notes_on(second.take, engine)
    begun = begun.noting(*of_source, other_vae(state, engine.vae_identity), left_out, note)
    parts, final = _Parts(begun, frontier, run_start, new, engine.cache, drain, end_of_take).found()
    planned = Extension(
        given=state,
        begun=begun,
        chunks=_fates(begun, new, parts),
        new=new,
        sights=_sights(begun.settings, new, parts),
        run_start=run_start,
        parts=parts,
        drain=drain,
        frontier=final,
        stages=(),
        need=_need(engine, begun, new),
        page_budget=engine.cache.device_bytes,
        model_key=engine.model_key,
        end=None if end is None or end >= stop * VIDEO_FRAMES_PER_CHUNK else end,
        source=None if second is None else second.take,
    )
    planned = replace(planned, begun=begun.noting(*Joining(planned).remembered))
    return _priced(engine, planned)


def _priced(engine: Sampler, planned: Extension) -> Extension:
    """`planned` with its costs. Where all of the weights find no room beside the run, its K/V pages wait in main
    memory: their bytes cost no more there than those of blocks, which every forward reads. Pages that it does not read
    get what weights and run leave on the device, so they never push anything out."""
    costs, pages, again = _stages(engine, planned)
    need, streamed = _need(engine, planned.begun, planned.new, pages, again), False
    if not engine.host.fits(need.total):
        less = _need(engine, planned.begun, planned.new, pages, again, streamed=True)
        streamed, need = (True, less) if less.total < need.total else (False, need)
    budget = 0 if streamed else engine.cache.kept_beside(engine.host.spare(need.total))
    changes = streamed != planned.streamed_pages or budget != planned.page_budget
    need = replace(need, kept=min(budget, len(planned.chunks) * _page_of(engine, planned.begun).nbytes))
    planned = replace(planned, need=need, streamed_pages=streamed, page_budget=budget)
    return replace(planned, stages=_stages(engine, planned)[0] if changes else costs)


def _whole(
    state: SamplerState, settings: SamplingSettings | None, second: SecondPass | None
) -> tuple[SamplingSettings | None, str]:
    """`settings` without a draft where there is a second pass, asked for or in flight; and a note where it had one."""
    moving = [*state.pending, *(() if state.unfinished is None else state.unfinished.frontier.chunks)]
    if second is None and all(chunk.source is None for chunk in moving):
        return settings, ""
    if (settings or state.settings).draft == "off":
        return settings, ""
    return (settings or state.settings).with_changes(draft="off"), "a second pass is made whole: no draft"


def check_schedule(settings: SamplingSettings, distill: bool) -> None:
    """Raise `MagiError` where the steps do not fit the window or the draft. A distilled model is told one step size for
    all chunks of a forward, so all must take steps of the same size."""
    steps, per_stage = settings.steps, settings.steps // settings.window
    check_draft(settings, distill)
    sizes = [step_factor(steps, interval) for interval in step_intervals(steps, settings.shortcut)]
    if distill and any(sizes[k] != sizes[k % per_stage] for k in range(steps)):
        fitting = [window for window in range(1, steps + 1) if steps % (3 * window) == 0]
        raise MagiError(
            f"a window of {settings.window} does not fit the {steps} steps of a distilled model, whose steps differ in "
            f"size: use a window of {', '.join(map(str, fitting))}, or 8 or 16 steps"
        )


def page_book(
    engine: Sampler, extension: Extension, piece: Piece, pool: PagePool, key: Callable[[int], str]
) -> PageBook:
    """The pages that `piece` reads. `pool`, `key`: see `PageBook`.

    A page depends on its chunk and on the run's constants; with the reference's quirks a partly given chunk has other
    latents inside its own run.
    """
    settings, run_start = extension.begun.settings, piece.frontier.run_start
    schedule = (settings.clean_t, settings.steps, settings.shortcut)
    own = run_start if settings.reference_quirks else None
    shape, null = extension.begun.latent_shape, engine.texts.null(settings).key
    return PageBook(
        pool,
        digest("pages", engine.model_key, shape, schedule, null, own),
        key,
        lambda index: plan_page(index, settings, run_start, extension.sight).history,
        pooled=settings.clean_length == settings.history_length == 1,
        streamed=extension.streamed_pages,
    )


def _end_kept(
    engine: Sampler, begun: SamplerState, new: Mapping[int, NewChunk], second: SecondPass | None
) -> tuple[Frontier | None, str]:
    """Where a second pass leaves the end of its take as it was: the take's pipeline behind it, as far as all that it
    reads stays; or else a note that going on will be another thing than going on from the take."""
    stop = begun.finished + len(new)
    if second is None or not new or new[stop - 1].kept is None or stop > second.take.finished:
        return None, ""
    take, longest = second.take.at(stop), begun.settings.longest_range
    if differences(engine, take, begun.settings):
        return None, ""
    read = range(0 if longest is None else max(0, stop + 1 - longest), stop)
    same = [_key_of(begun, new, index) == take.chunk_key(index) for index in read]
    if all(same):
        return take.frontier or remembered_frontier(take, stop, engine.cache), ""
    kept = same[::-1].index(False)
    stay = "the last chunk stays as it was" if kept == 1 else f"the last {counted(kept)} stay as they were"
    before = "going on from here is not what going on from the take before was"
    return None, f"{stay}, and what comes next reads {len(read)}: {before}"


def _key_of(state: SamplerState, new: Mapping[int, NewChunk], index: int) -> str:
    return new[index].key if index in new else state.chunk_key(index)


class _Parts:
    """Finds what of an extend is remembered, and from where the rest is computed."""

    def __init__(
        self,
        state: SamplerState,
        frontier: Frontier,
        run_start: int,
        new: Mapping[int, NewChunk],
        cache: EngineCache,
        drain: bool,
        end_of_take: Frontier | None,
    ) -> None:
        self.state, self.frontier, self.new, self.cache, self.drain = state, frontier, new, cache, drain
        self.run_start, self.end_of_take = run_start, end_of_take
        self.window, self.stop = state.settings.window, state.finished + len(new)
        self.walls = self._walls()
        self._latest: Frontier | None = None  # remembered, among those looked up so far
        self._looked_up = 0

    def found(self) -> tuple[tuple[Recalled | Piece, ...], Frontier | None]:
        """The parts in order, and the pipeline at the end where that is remembered and nothing has to be computed."""
        known = {index: self._known(chunk) for index, chunk in self.new.items()}
        final, flying = self._final(), range(self.stop, self.stop)
        if not self.drain:  # what is left in flight is never handed out, remembered or not
            flying = range(max(self.state.finished, self.stop - self.window + 1), self.stop)
        missing = [index for index, record in known.items() if record is None and index not in flying]
        if flying and (missing or final is None):
            missing = list(range(min([*missing, flying.start]), self.stop))
        elif final is None and self._free_of_cost(missing):
            missing.append(self.stop - 1)
        parts: list[Recalled | Piece] = []
        pieces = self._pieces(missing)
        for index, record in known.items():
            if pieces and index == pieces[0][0]:
                parts.append(pieces[0][1])
            if pieces and index >= pieces[0][0]:
                if index == pieces[0][1].last:
                    del pieces[0]
            elif record is not None and index not in flying:
                parts.append(Recalled(record))
        return tuple(parts), None if parts and isinstance(parts[-1], Piece) else final

    def _known(self, chunk: NewChunk) -> ChunkRecord | None:
        """What `chunk` becomes, where it is there already."""
        latent = self.cache.chunks.peek(chunk.at.key) if chunk.kept is None else None
        return chunk.kept if latent is None else ChunkRecord(chunk.at, latent, self.run_start)

    def _free_of_cost(self, missing: Sequence[int]) -> bool:
        """Whether a piece that goes on to the last chunk makes no forward more than one without those behind `missing`:
        they are all tied throughout, and only older chunks are in flight with them."""
        after = range(max(missing, default=self.state.finished - 1) + 1, self.stop)
        alone = bool(missing) or not self.frontier.chunks
        return bool(after) and alone and all(self.new[index].kept is not None for index in after)

    def _final(self) -> Frontier | None:
        """The pipeline behind the last chunk, if it is remembered."""
        if not self.new or self.end_of_take is not None:
            return self.end_of_take
        starts = dict.fromkeys((self.frontier.run_start, self.new[self.stop - 1].at.wall))
        return next(filter(None, (self._remembered(self.stop, first) for first in starts)), None)

    def _pieces(self, missing: Sequence[int]) -> list[tuple[int, Piece]]:
        """Pieces to compute, each with the first chunk it is needed for."""
        spans: list[tuple[int, Frontier, int]] = []  # needed for, from, up to
        for index in missing:
            if spans and index <= spans[-1][2]:  # finished on the way
                continue
            begin = self._start_for(index)
            if spans and begin.next_chunk <= spans[-1][2] + 1:
                needed, first, _ = spans[-1]
                spans[-1] = (needed, first, index)
            else:
                spans.append((index, begin, max(index, begin.next_chunk - 1)))
        pieces = []
        for needed, begin, last in spans:
            while needed > max(begin.next_chunk, self.state.finished) and self.new[needed - 1].kept is not None:
                needed -= 1  # it passes through the piece, and is handed out where the rest of the run fits it
            entering = tuple(self.new[index] for index in range(begin.next_chunk, last + 1))
            pieces.append((needed, Piece(begin, entering, self.drain or last + 1 < self.stop)))
        return pieces

    def _start_for(self, index: int) -> Frontier:
        """The latest point from which chunk `index` can be computed. Asked for rising indices."""
        fresh = max((wall for wall in self.walls if wall <= index), default=None)
        base = self.frontier if fresh is None else Frontier((), fresh, fresh)
        starts = (self.frontier.run_start, *(() if fresh is None else (fresh,)))
        limit = min(self.stop, index + self.window - 1)  # later, the chunk is no longer in flight
        for count in range(max(self._looked_up, base.next_chunk) + 1, limit + 1):
            found = next(filter(None, (self._remembered(count, first) for first in starts)), None)
            self._latest = found or self._latest
        self._looked_up = max(self._looked_up, limit)
        return self._latest if self._latest and self._latest.next_chunk > base.next_chunk else base

    def _remembered(self, count: int, run_start: int) -> Frontier | None:
        """The pipeline before chunk `count`, its chunks under the names that they are asked for by now."""
        key = planned_frontier_key(self.state, self.new, count, run_start)
        found = self.cache.frontiers.peek(key)
        if found is None:
            return None
        named = (replace(c, at=self.new[c.index].at) if c.index in self.new else c for c in found.chunks)
        return replace(found, chunks=tuple(named))

    def _walls(self) -> list[int]:
        """Chunks at which the run can begin anew: a cut, across which no chunk looks that is in the works together with
        one before it (or with its page being made), and which is far enough from the end to leave the pipeline there
        whole. None where pages are other before a run than in it."""
        together, settings = self.window, self.state.settings
        if settings.clean_length != settings.history_length:
            return []
        return [
            wall
            for wall, chunk in self.new.items()
            if chunk.at.wall == wall and self.frontier.next_chunk <= wall <= self.stop - together
            if all(self.new[index].at.sight >= wall for index in range(wall, wall + together))
        ]


def _sights(
    settings: SamplingSettings, new: Mapping[int, NewChunk], parts: Sequence[Recalled | Piece]
) -> dict[int, Sight]:
    """What the chunks in the works may see; those that are finished already may be redone together with new ones."""
    moving = [chunk for part in parts if isinstance(part, Piece) for chunk in part.frontier.chunks]
    flying = [NewChunk(chunk.at, chunk.text, ranges_of(chunk.at, settings), chunk.source) for chunk in moving]
    redone = {chunk.at.index: chunk.sight for chunk in flying}
    return redone | {index: chunk.sight for index, chunk in new.items()}


def _fates(
    state: SamplerState, new: Mapping[int, NewChunk], parts: Sequence[Recalled | Piece]
) -> tuple[ChunkFate, ...]:
    recalled = {part.record.index for part in parts if isinstance(part, Recalled)}
    pieces = [part for part in parts if isinstance(part, Piece)]
    made = {index for piece in pieces for index in range(piece.frontier.oldest, piece.last + 1)} - recalled
    kept = [ChunkFate(index, state.chunk_key(index), "kept") for index in range(state.finished)]
    kinds: dict[int, Kind] = {index: "computed" if index in made else "remembered" for index in new}
    kinds |= {index: "kept" for index, chunk in new.items() if chunk.kept is not None}
    return (*kept, *(ChunkFate(index, chunk.key, kinds[index]) for index, chunk in new.items()))


def _need(
    engine: Sampler,
    state: SamplerState,
    new: Mapping[int, NewChunk],
    pages: int = 0,
    again: int = 0,
    *,
    streamed: bool = False,
) -> SamplingMemory:
    need = sampling_memory(
        replace(engine.dit.config, fp8=engine.dit.config.fp8 or engine.dit.fp8_rows),
        state.settings,
        width=state.width,
        height=state.height,
        chunks=state.finished + len(new),
        itemsize=engine.dit.dtype.itemsize,
        fused=has_fast_forms(engine.dit.device) and engine.dit.dtype == torch.bfloat16,
        pages=pages,
        held=pages_held(state.settings, engine.dit.config.distill),
        again=again,
        streamed=streamed,
        text_tokens=max([NULL_TEXT_LENGTH, *(chunk.text.most_tokens for chunk in new.values())]),
    )
    return replace(need, frames=engine.decoding_bytes(state.width, state.height))


def _stages(engine: Sampler, extension: Extension) -> tuple[tuple[StageCost, ...], int, int]:
    """Every stage: its steps, counted from the window plan; the pages to make, by rehearsing the pieces on a copy of
    the pool. The most pages that are held at the same time, and how many of those are there again under a text's
    condition."""
    state, distill, held, again = extension.begun, engine.dit.config.distill, 0, 0
    settings, pool = state.settings, engine.cache.pages.rehearsal()
    pool.resize(device_bytes=extension.page_budget)
    page = _page_of(engine, state)
    found: list[StageCost] = []
    for piece in (part for part in extension.parts if isinstance(part, Piece)):
        run_start = piece.frontier.run_start
        book = page_book(engine, extension, piece, pool, extension.key)
        for slots in piece.plan(settings.window):
            stage = stage_cost(slots, run_start, settings, distill, extension.sight)
            if not stage.forwards:
                found.append(stage)
                continue
            missing = book.missing(pages_read(slots, run_start, settings, extension.sight))
            for index in missing:
                book.add(index, page)
            found.append(replace(stage, pages=len(missing)))
            held = max(held, len(book.by_chunk))
            again = max(again, int(not distill and slots[0].index > run_start))  # the newest
    return tuple(found), held, again


def _page_of(engine: Sampler, state: SamplerState) -> KVPage:
    """A page's size without its numbers."""
    size = page_bytes(engine.dit.config, chunk_tokens(engine.dit.config, state.width, state.height), 1)
    return KVPage((KVLayer(torch.empty(size, dtype=engine.dit.dtype, device="meta")),))
