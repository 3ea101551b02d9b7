"""Doing what an `Extension` says: a state after every chunk that becomes clean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from magi_core.dit.memory import page_tensors
from magi_core.errors import MagiError
from magi_core.host_memory import return_freed_memory
from magi_core.sampling.events import Finished, Reached, Stepped, Stopped
from magi_core.sampling.extension import Extension, NewChunk, Piece, Recalled
from magi_core.sampling.finite import check_finished
from magi_core.sampling.forward import Predictor, StopAsked
from magi_core.sampling.joining import Joining
from magi_core.sampling.keys import planned_frontier_key
from magi_core.sampling.loop import Entering, Loop, Past
from magi_core.sampling.plan import page_book
from magi_core.sampling.room import check_room
from magi_core.sampling.sampler import Sampler
from magi_core.state import Cancelled, ChunkRecord, Frontier, InFlight, SamplerState, Unfinished
from magi_core.text.chunk_text import AskedText, ChunkText

log = logging.getLogger(__name__)

OnStep = Callable[[Stepped], None]


def run(
    engine: Sampler,
    extension: Extension,
    *,
    on_step: OnStep | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[SamplerState]:
    """See `Engine.run`."""
    if extension.model_key != engine.model_key:
        raise MagiError("this extend was planned with another model: plan it with the one that runs it")
    pages = engine.cache.pages
    check_room(extension, engine.host, pages.device, pages.host_stats.bytes)
    return _states(_Running(engine, extension, on_step or (lambda event: None), cancelled or (lambda: False)))


def _states(running: _Running) -> Iterator[SamplerState]:
    engine = running.engine
    try:
        yield from running.states()
    finally:
        engine.cache.pages.give_back()
        engine.host.release(engine.cache)


class _Running:
    """One run of an extension. state: as far as it has come. latest: the last frontier that it reached."""

    def __init__(self, engine: Sampler, extension: Extension, on_step: OnStep, cancelled: Callable[[], bool]) -> None:
        self.engine, self.extension, self.on_step, self.cancelled = engine, extension, on_step, cancelled
        self.state = replace(extension.begun, end=None)
        self.latest: Frontier | None = None
        self.forwards = 0
        self.texts: dict[str, ChunkText] = {}
        self.joining = Joining(extension)

    def states(self) -> Iterator[SamplerState]:
        extension, last = self.extension, len(self.extension.chunks)
        for part in extension.parts:
            if isinstance(part, Recalled):
                self.engine.cache.chunks.get(part.record.key)  # it was of use
                self._hand_out(part.record)
                self.latest = self._remembered()
                frontier = extension.frontier if self.state.finished == last else None
                yield self._now(frontier)
            else:
                yield from self._computed(part)
        if not extension.parts or self.state.finished < last:  # the last chunks are left in flight
            yield replace(self.state, frontier=extension.frontier or self.latest, end=extension.end)

    def _computed(self, part: Piece) -> Iterator[SamplerState]:
        self.latest = part.frontier
        self.engine.cache.pages.resize(device_bytes=self.extension.page_budget)
        try:
            self._read_texts(part)
            loop = self._loop(part)
        except StopAsked:
            raise self._stopped() from None
        base, done = self.forwards, self.state.finished - self.extension.begun.finished
        for event in loop([self._entering(chunk) for chunk in part.entering], drain=part.drain):
            match event:
                case Stepped(step=step):
                    self.forwards = base + step
                    self.on_step(self._told(event, done))
                case Reached(frontier) if loop.watch.sound(frontier.chunks):
                    self.latest = frontier
                    self.engine.cache.frontiers.put(frontier.key, frontier)
                case Finished(chunk):
                    check_finished(self.engine, chunk, loop.watch, self.state.settings.steps)
                    loop.watch.forget(chunk.index)
                    if chunk.index < self.state.finished:
                        continue
                    self._hand_out(self._record(chunk, part))
                    done += 1
                    whole = self.state.finished == len(self.extension.chunks)
                    return_freed_memory()
                    yield self._now(self.latest if whole else None)
                case Stopped():
                    raise self._stopped()

    def _told(self, event: Stepped, done: int) -> Stepped:
        """The event of one piece as one of the whole extend."""
        chunks = len(self.extension.chunks) - self.extension.begun.finished
        notes = self.joining.seen(event)
        self.state = self.state.noting(*notes)
        return replace(event, step=self.forwards, steps=self.extension.forwards, done=done, chunks=chunks, notes=notes)

    def _now(self, frontier: Frontier | None) -> SamplerState:
        """The state to hand out; the last one knows the pipeline and where the video ends, others what is to come."""
        if self.state.finished == len(self.extension.chunks):
            return replace(self.state, frontier=frontier, end=self.extension.end)
        return replace(self.state, frontier=frontier, unfinished=self._rest())

    def _remembered(self) -> Frontier | None:
        """The latest remembered pipeline in which the state's last chunks are finished or in flight."""
        extension, finished, window = self.extension, self.state.finished, self.state.settings.window
        for count in range(min(finished + window - 1, len(extension.chunks)), finished, -1):
            key = planned_frontier_key(extension.begun, extension.new, count, extension.run_start)
            found = self.engine.cache.frontiers.peek(key)
            if found is not None:
                named = (
                    replace(c, at=extension.new[c.index].at) if c.index in extension.new else c for c in found.chunks
                )
                return replace(found, chunks=tuple(named))
        return None

    def _rest(self) -> Unfinished | None:
        """What is left to do from the newest boundary on; None where no boundary is known that the state fits."""
        if self.latest is None:
            return None
        extension, come = self.extension, self.latest.next_chunk
        asked = tuple(chunk.at.spec for index, chunk in extension.new.items() if index >= come)
        rest = Unfinished(self.latest, extension.run_start, asked, extension.drain, extension.end)
        return rest if rest.fits(self.state.finished) else None

    def _hand_out(self, record: ChunkRecord) -> None:
        self.state = replace(self.state.with_chunk(record), frontier=None)

    def _record(self, chunk: InFlight, part: Piece) -> ChunkRecord:
        """A finished chunk under the name it was asked for by. What was handed out before keeps its bits."""
        new = self.extension.new[chunk.index]
        if new.kept is not None:
            return new.kept
        cache, key = self.engine.cache.chunks, chunk.key
        kept = cache.get(key)
        latent = chunk.latent if kept is None else kept
        cache.put(key, latent)
        return ChunkRecord(new.at, latent, part.frontier.run_start)

    def _stopped(self) -> Cancelled:
        given, latest = self.extension.given, self.latest
        if self.state.finished == given.finished and not given.pending:
            return Cancelled(given)  # nothing new: it goes on as it would have
        if latest is not None and latest.next_chunk < given.next_chunk:
            return Cancelled(given)  # chunks in flight were to begin again and have not yet
        if given.pending and latest is not None and latest.next_chunk >= self.state.finished:
            return Cancelled(replace(self.state, frontier=latest))
        return Cancelled(replace(self.state, unfinished=self._rest()))

    def _read_texts(self, part: Piece) -> None:
        """Every text of a piece, encoded before its first forward."""
        for chunk in part.entering:
            if isinstance(chunk.text, AskedText) and chunk.text.key not in self.texts:
                if self._stop_asked():
                    raise StopAsked
                self.texts[chunk.text.key] = chunk.text.read(self.state.settings)

    def _entering(self, chunk: NewChunk) -> Entering:
        text = chunk.text if isinstance(chunk.text, ChunkText) else self.texts[chunk.text.key]
        at, shape, noise = chunk.at, self.state.latent_shape, self.engine.noise
        return Entering(at, text, lambda: noise(at.seed, at.index, shape), chunk.source)

    def _stop_asked(self) -> bool:
        return self.cancelled() or self.engine.host.cancelled()

    @torch.no_grad()
    def _loop(self, part: Piece) -> Loop:
        engine, state, extension = self.engine, self.state, self.extension
        settings, need = state.settings, extension.need.total

        def claim() -> None:
            if self._stop_asked():
                raise StopAsked
            engine.host.loaded_for(need)

        pool, where = engine.cache.pages, None
        if extension.streamed_pages:
            log.info("MAGI: K/V pages in use are streamed from main memory")
            pool.release_device()
            where = pool.streamed(engine.dit.config.num_layers)
        claim()
        null = engine.dit.text_context(engine.texts.null(settings).tokens)
        predictor = Predictor(engine.dit, engine.attention, settings, null, claim, engine.compiler, where)
        past = Past(state)
        pages = page_book(engine, extension, part, pool, past.key)
        if pages.pooled:
            tensors = page_tensors(engine.dit.config, state.width, state.height, engine.dit.dtype.itemsize)
            pool.expect(tensors, streamed=extension.streamed_pages)
        return Loop(
            predictor,
            past,
            extension.sight,
            part.frontier,
            pages,
            anchor=state.anchor if part.frontier.run_start == state.first_chunk else None,
        )
