"""The sampling loop: walks the window plan, moves the chunks in flight, and tells what happens as events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magi_core.dit import KVPage, TextContext
from magi_core.host_memory import settled
from magi_core.sampling.events import Denoising, Entered, Event, Finished, Reached, Stepped, Stopped
from magi_core.sampling.finite import Watch
from magi_core.sampling.forward import ForwardInput, Predictor, StopAsked
from magi_core.sampling.pages import PageBook
from magi_core.sampling.window import ForwardPlan, SightOf, Slot, pages_read, plan_page, plan_stage, stages
from magi_core.state import Frontier, InFlight, PlacedChunk, SamplerState
from magi_core.text.chunk_text import ChunkText


@dataclass(frozen=True, eq=False)
class Entering:
    """A chunk before its first step. noise: draws what it starts from, [C, T, h, w]; called when it enters."""

    at: PlacedChunk
    text: ChunkText
    noise: Callable[[], Tensor]


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
        self.past, self.sight, self.frontier, self.pages, self.anchor = past, sight, frontier, pages, anchor
        self._contexts: dict[str, TextContext] = {}
        self._moving: dict[int, InFlight] = {}
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
        total = len(plan) * (self.settings.steps // self.settings.window)
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
        self._moving[chunk.at.index] = InFlight(chunk.at, chunk.text, latent)
        return Entered(chunk.at.index, chunk.at.key)

    @torch.no_grad()
    def _stage(self, slots: Sequence[Slot]) -> Iterator[tuple[Denoising, ...]]:
        """The forwards of one stage; after each, where every chunk in flight is."""
        run_start = self.frontier.run_start
        self.predictor.claim()
        for index in self.pages.missing(pages_read(slots, run_start, self.settings, self.sight)):
            self.pages.add(index, self._page(index))
        for forward in plan_stage(slots, run_start, self.settings, self.sight):
            yield self._advance(forward, {slot.index: slot.stage for slot in slots})

    def _leave(self, slots: Sequence[Slot]) -> InFlight | None:
        """Every chunk has one more stage behind it; the oldest leaves when that was its last. Unused texts go."""
        for slot in slots:
            self._moving[slot.index] = replace(self._moving[slot.index], stage=slot.stage + 1)
        finished = None
        if slots[0].stage + 1 == self.settings.window:
            chunk = self._moving.pop(slots[0].index)
            finished = replace(chunk, latent=settled(self._final_latent(chunk)))
            self.past.add(finished)
        texts = {chunk.text.key for chunk in self._moving.values()}
        self._contexts = {key: context for key, context in self._contexts.items() if key in texts}
        return finished

    def _frontier(self, slots: Sequence[Slot], last: PlacedChunk) -> Frontier:
        in_flight = tuple(self._moving[s.index].moved(settled) for s in slots if s.index in self._moving)
        return Frontier(in_flight, last.index + 1, self.frontier.run_start, last.key)

    @torch.no_grad()
    def _advance(self, plan: ForwardPlan, stage: Mapping[int, int]) -> tuple[Denoising, ...]:
        """One Euler step of every chunk in `plan`."""
        predictor, inputs = self.predictor, []
        for planned in plan.chunks:
            chunk = self._moving[planned.index]
            latent = self._anchored(planned.index, chunk.latent)
            inputs.append(ForwardInput(latent, predictor.timestep(planned.step), self._context(chunk.text)))
        fresh = None if plan.fresh is None else self._clean(plan.fresh.index)
        velocities = predictor(plan, inputs, self.pages.by_chunk, fresh)
        told = []
        for planned, before, velocity in zip(plan.chunks, inputs, velocities, strict=True):
            width = predictor.grid[planned.step + 1] - predictor.grid[planned.step]
            latent = before.latent + velocity * width.to(velocity.device)
            chunk = replace(self._moving[planned.index], latent=latent)
            self._moving[planned.index] = chunk
            self.watch.note(planned.index, planned.step + 1, latent)
            estimate = _Estimate(before.latent, velocity, before.timestep)
            t = predictor.timestep(planned.step + 1)
            told.append(Denoising(planned.index, chunk.key, stage[planned.index], t, estimate))
        return tuple(told)

    def _page(self, index: int) -> KVPage:
        """The page of a finished chunk; on the CPU in memory of its own."""
        planned = plan_page(index, self.settings, self.frontier.run_start, self.sight)
        page = self.predictor.page(planned, self._clean(index), self.pages.by_chunk)
        return page.map(settled) if page.device.type == "cpu" else page

    def _clean(self, index: int) -> Tensor:
        return self._anchored(index, self.past.latent(index))

    def _anchored(self, index: int, latent: Tensor) -> Tensor:
        latent = latent.to(self.predictor.dit.device)
        if self.anchor is None or index != self.frontier.run_start:
            return latent
        return torch.cat([self.anchor.to(latent), latent[:, self.anchor.shape[1] :]], dim=1)

    def _final_latent(self, chunk: InFlight) -> Tensor:
        """The reference leaves the last velocity on given frames; by default they stay what was given."""
        return chunk.latent if self.settings.reference_quirks else self._anchored(chunk.index, chunk.latent)

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
