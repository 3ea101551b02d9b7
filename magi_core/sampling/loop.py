"""The sampling loop: walks the window plan, moves the chunks in flight, and tells what happens as events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magi_core.dit import KVPage, TextContext
from magi_core.host_memory import settled
from magi_core.sampling.cost import StageCost, stage_cost
from magi_core.sampling.events import Denoising, Entered, Event, Finished, Reached, Stepped, Stopped
from magi_core.sampling.finite import Watch
from magi_core.sampling.forward import ForwardInput, Predictor, StopAsked
from magi_core.sampling.pages import PageBook
from magi_core.sampling.window import ForwardPlan, SightOf, Slot, pages_read, plan_page, plan_stage, stages
from magi_core.state import Frontier, InFlight, PlacedChunk, SamplerState
from magi_core.state.chunk import Source
from magi_core.state.frontier import finished_and_read
from magi_core.text.chunk_text import ChunkText


@dataclass(frozen=True, eq=False)
class Entering:
    """A chunk before its first step. noise: draws what it starts from, [C, T, h, w]; called when it enters.
    source: of a second pass."""

    at: PlacedChunk
    text: ChunkText
    noise: Callable[[], Tensor]
    source: Source | None = None


class Past:
    """Finished chunks that a run reads: those of a state as they were handed out, and those it makes itself."""

    def __init__(self, state: SamplerState) -> None:
        self.state = state
        self._made: dict[int, InFlight] = {}

    def add(self, chunk: InFlight) -> None:
        if chunk.index >= self.state.finished:
            self._made[chunk.index] = chunk

    def latent(self, index: int) -> Tensor:
        return self._made[index].latent if index in self._made else self.state.chunk_latent(index)

    def key(self, index: int) -> str:
        return self._made[index].key if index in self._made else self.state.chunk_key(index)


class Loop:
    """Denoises chunks from a frontier on.

    past: finished chunks. sight: what each chunk may see. pages: the K/V that is read, see `PageBook`.
    anchor: given frames [C, r, h, w] of the partly given chunk `run_start`; re-imposed before every forward.
    """

    def __init__(
        self,
        predictor: Predictor,
        past: Past,
        sight: SightOf,
        frontier: Frontier,
        pages: PageBook,
        *,
        anchor: Tensor | None = None,
    ) -> None:
        self.predictor, self.settings = predictor, predictor.settings
        self.past, self.sight, self.frontier, self.pages = past, sight, frontier, pages
        self.anchor = None if anchor is None else anchor.to(predictor.dit.device)
        self._sources: dict[int, Tensor] = {}  # latents of the chunks in flight that have one, on the device
        self._contexts: dict[str, TextContext] = {}
        self._moving: dict[int, InFlight] = {}
        self._held: dict[int, tuple[Callable[[], Tensor], int]] = {}  # heading; step it is carried to
        self.watch = Watch()

    def __call__(self, entering: Sequence[Entering], *, drain: bool = True) -> Iterator[Event]:
        """Denoise what is in flight and `entering` (consecutive chunks from `frontier.next_chunk` on).

        Chunks finish in order. drain: go on until none is left in flight; otherwise stop where the next chunk would
        enter.
        """
        frontier, device = self.frontier, self.predictor.dit.device
        self._moving = {chunk.index: chunk.moved(lambda x: x.to(device)) for chunk in frontier.chunks}
        slots_in_flight = [Slot(chunk.index, chunk.stage) for chunk in frontier.chunks]
        plan = list(stages(frontier.next_chunk, len(entering), self.settings.window, slots_in_flight))
        plan = plan if drain else plan[: len(entering)]
        total = sum(self._cost(slots).forwards for slots in plan)
        count, step = len(frontier.chunks) + len(entering), 0
        try:
            for n, slots in enumerate(plan):
                if n < len(entering):
                    yield self._enter(entering[n])
                for in_flight in self._stage(slots):
                    step += 1
                    yield Stepped(in_flight, step, total, count - len(self._moving) - len(entering[n + 1 :]), count)
                finished = self._leave(slots)
                if n < len(entering):
                    yield Reached(self._frontier(slots, entering[n].at))
                if finished is not None:
                    yield Finished(finished)
        except StopAsked:
            yield Stopped()

    def _enter(self, chunk: Entering) -> Entered:
        latent = chunk.noise().to(self.predictor.dit.device)
        entered = InFlight(chunk.at, chunk.text, latent, source=chunk.source)
        self._moving[chunk.at.index] = entered
        return Entered(entered.index, entered.key)

    def _cost(self, slots: Sequence[Slot]) -> StageCost:
        return stage_cost(slots, self.frontier.run_start, self.settings, self.predictor.dit.config.distill, self.sight)

    @torch.no_grad()
    def _stage(self, slots: Sequence[Slot]) -> Iterator[tuple[Denoising, ...]]:
        """The forwards of one stage; after each, where every chunk in flight is."""
        if not self._cost(slots).forwards:
            return
        self.predictor.claim()
        for index in self.pages.missing(pages_read(slots, self.frontier.run_start, self.settings, self.sight)):
            self.pages.add(index, self._page(index))
        for forward in plan_stage(slots, self.frontier.run_start, self.settings, self.sight):
            heading = self._advance(forward)
            yield tuple(self._where(slot, forward.step, heading.get(slot.index)) for slot in slots)

    def _leave(self, slots: Sequence[Slot]) -> InFlight | None:
        """Every chunk has one more stage behind it; the oldest leaves when that was its last. Unused texts go."""
        self._held.clear()
        self.predictor.forget_held()
        for slot in slots:
            self._moving[slot.index] = replace(self._moving[slot.index], stage=slot.stage + 1)
        finished = None
        if slots[0].stage + 1 == self.settings.window:
            chunk = self._moving.pop(slots[0].index)
            self._sources.pop(chunk.index, None)
            finished = replace(chunk, latent=self._final_latent(chunk))
            self.past.add(finished)
        texts = {chunk.text.key for chunk in self._moving.values()}
        self._contexts = {key: context for key, context in self._contexts.items() if key in texts}
        return finished

    def _frontier(self, slots: Sequence[Slot], last: PlacedChunk) -> Frontier:
        in_flight = tuple(self._moving[s.index].moved(settled) for s in slots if s.index in self._moving)
        come = last.index + 1
        flying = range(in_flight[0].index if in_flight else come, come)
        read = finished_and_read(self.settings, flying, come, lambda index: self.sight(index).first)
        return Frontier(in_flight, come, self.frontier.run_start, last.key, tuple(map(self.past.key, read)))

    @torch.no_grad()
    def _advance(self, plan: ForwardPlan) -> dict[int, Callable[[], Tensor]]:
        """Every chunk in `plan` whose velocity is used goes where that carries it; the clean latents that are expected
        of those chunks."""
        predictor, inputs = self.predictor, []
        for planned in plan.chunks:
            chunk = self._moving[planned.index]
            latent = self._before(chunk, planned.step)
            inputs.append(ForwardInput(latent, predictor.timestep(planned.step), self._context(chunk.text)))
        fresh = None if plan.fresh is None else self._clean(plan.fresh.index)
        velocities = predictor(plan, inputs, self.pages.by_chunk, fresh)
        heading: dict[int, Callable[[], Tensor]] = {}
        for planned, before, velocity in zip(plan.chunks, inputs, velocities, strict=True):
            if planned.until is None:
                continue
            width = float(predictor.grid[planned.until] - predictor.grid[planned.step])  # of float32, nothing to send
            latent = before.latent + velocity * width
            self._moving[planned.index] = replace(self._moving[planned.index], latent=latent)
            self.watch.note(planned.index, planned.until, latent)
            heading[planned.index] = _Estimate(before.latent, velocity, before.timestep)
            self._held.pop(planned.index, None)
            if planned.until > planned.step + 1:
                self._held[planned.index] = heading[planned.index], planned.until
        return heading

    def _before(self, chunk: InFlight, step: int) -> Tensor:
        """The latent of a chunk as it comes to Euler step `step`: up to its release on the line to its source."""
        latent, source = chunk.latent, chunk.source
        if source is not None and (source.release is None or step <= source.release):
            if chunk.index not in self._sources:
                self._sources[chunk.index] = source.record.latent.to(latent)
            latent = source.line(latent, self.predictor.grid[step], self._sources[chunk.index])
        return self._anchored(chunk.index, latent)

    def _where(self, slot: Slot, step: int, heading: Callable[[], Tensor] | None) -> Denoising:
        """Where a chunk is after the forward of step `step` of its stage; a tied one is heading for its source, a held
        one has reached where its last velocity carries it."""
        chunk, held = self._moving[slot.index], self._held.get(slot.index)
        reached = slot.stage * (self.settings.steps // self.settings.window) + step + 1
        if held is not None:
            heading, reached = held
        if heading is None:
            assert chunk.source is not None, "a chunk that is free is looked at or held"
            latent, device = chunk.source.record.latent, self.predictor.dit.device
            heading = lambda: latent.to(device)  # noqa: E731
        return Denoising(slot.index, chunk.key, slot.stage, self.predictor.timestep(reached), heading)

    def _page(self, index: int) -> KVPage:
        """The page of a finished chunk; in main memory in memory of its own."""
        planned = plan_page(index, self.settings, self.frontier.run_start, self.sight)
        page = self.predictor.page(planned, self._clean(index), self.pages.by_chunk)
        return page.map(settled) if page.device.type == "cpu" and page.place is None else page

    def _clean(self, index: int) -> Tensor:
        return self._anchored(index, self.past.latent(index))

    def _anchored(self, index: int, latent: Tensor) -> Tensor:
        latent = latent.to(self.predictor.dit.device)
        if self.anchor is None or index != self.frontier.run_start:
            return latent
        return torch.cat([self.anchor.to(latent), latent[:, self.anchor.shape[1] :]], dim=1)

    def _final_latent(self, chunk: InFlight) -> Tensor:
        """On the CPU. The reference leaves the last velocity on given frames; by default they stay what was given."""
        if chunk.source is not None and chunk.source.kept is not None:
            return chunk.source.kept.latent
        latent = chunk.latent if self.settings.reference_quirks else self._anchored(chunk.index, chunk.latent)
        return settled(latent)

    def _context(self, text: ChunkText) -> TextContext:
        if text.key not in self._contexts:
            self._contexts[text.key] = self.predictor.dit.text_context(text.tokens)
        return self._contexts[text.key]


@dataclass(frozen=True, eq=False)
class _Estimate:
    """Where a chunk was heading at timestep `t`."""

    latent: Tensor
    velocity: Tensor
    t: float

    def __call__(self) -> Tensor:
        return self.latent + (1 - self.t) * self.velocity
