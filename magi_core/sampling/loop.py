"""The sampling loop: walks the window plan, moves the chunks in flight, hands out finished ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magi_core.dit import TextContext
from magi_core.host_memory import settled
from magi_core.sampling.forward import ForwardInput, Predictor
from magi_core.sampling.pages import PageBook
from magi_core.sampling.window import ForwardPlan, Slot, plan_stage, stages
from magi_core.state.frontier import Entering, Frontier, InFlight


@dataclass(frozen=True, eq=False)
class StepEvent:
    """Progress after one step of the loop.

    chunk: index of the oldest chunk in flight. step, steps: forwards done and in all. done, chunks: chunks finished and
    to be finished. clean_estimate: call it for the oldest chunk's predicted clean latent `x + (1 - t) v`, [C, T, h, w].
    """

    chunk: int
    step: int
    steps: int
    done: int
    chunks: int
    clean_estimate: Callable[[], Tensor]


class Run:
    """The loop, from a frontier on.

    pages: K/V of finished chunks. finished: latent [C, T, h, w] of a finished chunk by index, as it was handed out.
    noise: what a chunk starts from [C, T, h, w], asked for when it enters.
    anchor: given frames [C, r, h, w] of the partly given chunk `run_start`; re-imposed before every forward.
    on_boundary: called with the frontier before every stage that a chunk would enter, the last included.
    """

    def __init__(
        self,
        predictor: Predictor,
        text_context: Callable[[Tensor], TextContext],
        pages: PageBook,
        finished: Callable[[int], Tensor],
        noise: Callable[[Entering], Tensor],
        *,
        anchor: Tensor | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        on_boundary: Callable[[Frontier], None] = lambda frontier: None,
    ) -> None:
        self.predictor, self.settings = predictor, predictor.settings
        self.pages, self.finished, self.noise, self.anchor = pages, finished, noise, anchor
        self.on_step, self.on_boundary = on_step, on_boundary
        self._text_context = text_context
        self._contexts: dict[int, TextContext] = {}

    def __call__(self, frontier: Frontier, entering: Sequence[Entering], *, drain: bool = True) -> Iterator[InFlight]:
        """Denoise what is in flight and `entering` (consecutive chunks from `frontier.next_chunk` on).

        Yields chunks as they become clean, in order. drain: go on until none is left in flight; otherwise stop where
        the next chunk would enter.
        """
        settings, device = self.settings, self.predictor.dit.device
        moving = {chunk.chunk: chunk.moved(lambda x: x.to(device)) for chunk in frontier.chunks}
        both = (*frontier.chunks, *entering)
        tables = {chunk.chunk: chunk.kv_ranges for chunk in both if chunk.kv_ranges is not None}
        slots_in_flight = [Slot(chunk.chunk, chunk.stage) for chunk in frontier.chunks]
        plan = list(stages(frontier.next_chunk, len(entering), settings.window, slots_in_flight))
        plan = plan if drain else plan[: len(entering)]
        total = len(plan) * (settings.steps // settings.window)
        step = done = 0
        for n, slots in enumerate(plan):
            oldest = slots[0].chunk
            if n < len(entering):
                moving[entering[n].chunk] = entering[n].begun(self.noise(entering[n]).to(device))
            forwards = list(plan_stage(slots, frontier.run_start, settings, tables))
            remade = {oldest - 1} if forwards[0].reencodes else set()
            self.pages.prepare({i for forward in forwards for i in forward.history} - remade, self.finished)
            for forward in forwards:
                before = moving[oldest]
                velocity = self._advance(forward, moving, frontier.run_start)
                step += 1
                self._report(forward, before, velocity, step=step, total=total, done=done, chunks=len(both))
            for slot in slots:
                moving[slot.chunk] = replace(moving[slot.chunk], stage=slot.stage + 1)
            finished = moving.pop(oldest) if slots[0].stage + 1 == settings.window else None
            texts = {id(chunk.text) for chunk in moving.values()}
            self._contexts = {key: context for key, context in self._contexts.items() if key in texts}
            if n < len(entering):
                last = entering[n]
                in_flight = tuple(moving[s.chunk].moved(settled) for s in slots if s.chunk in moving)
                self.on_boundary(Frontier(in_flight, last.chunk + 1, frontier.run_start, last.key))
            if finished is not None:
                done += 1
                yield self._finish(finished, frontier.run_start)

    def _advance(self, plan: ForwardPlan, moving: dict[int, InFlight], run_start: int) -> Tensor:
        """One forward and one Euler step of every noisy chunk in `plan`; K/V of a re-encoded chunk joins the pages.

        Returns the velocity of the oldest.
        """
        predictor, inputs, noisy = self.predictor, [], []
        for planned in plan.chunks:
            if planned.clean:
                latent = self._anchored(planned.chunk, self.finished(planned.chunk), run_start)
                inputs.append(ForwardInput(latent, self.settings.clean_t, predictor.null))
            else:
                chunk = moving[planned.chunk]
                latent = self._anchored(planned.chunk, chunk.latent, run_start)
                moving[planned.chunk] = replace(chunk, latent=latent)
                inputs.append(ForwardInput(latent, predictor.timestep(planned.step), self._context(chunk)))
                noisy.append(planned)
        output = predictor(plan, inputs, self.pages.by_chunk)
        self.pages.add(output.pages, {c.chunk: i.latent for c, i in zip(plan.chunks, inputs, strict=True) if c.clean})
        for planned, velocity in zip(noisy, output.velocities, strict=True):
            chunk = moving[planned.chunk]
            width = predictor.grid[planned.step + 1] - predictor.grid[planned.step]
            moving[planned.chunk] = replace(chunk, latent=chunk.latent + velocity * width.to(velocity.device))
        return output.velocities[0]

    def _anchored(self, chunk: int, latent: Tensor, run_start: int) -> Tensor:
        latent = latent.to(self.predictor.dit.device)
        if self.anchor is None or chunk != run_start:
            return latent
        return torch.cat([self.anchor.to(latent), latent[:, self.anchor.shape[1] :]], dim=1)

    def _finish(self, chunk: InFlight, run_start: int) -> InFlight:
        """The reference leaves the last velocity on given frames; by default they stay what was given."""
        if self.settings.reference_quirks:
            return chunk
        return replace(chunk, latent=self._anchored(chunk.chunk, chunk.latent, run_start))

    def _context(self, chunk: InFlight) -> TextContext:
        key = id(chunk.text)
        if key not in self._contexts:
            self._contexts[key] = self._text_context(chunk.text)
        return self._contexts[key]

    def _report(
        self, plan: ForwardPlan, before: InFlight, velocity: Tensor, *, step: int, total: int, done: int, chunks: int
    ) -> None:
        if self.on_step is not None:
            t = self.predictor.timestep(plan.chunks[int(plan.reencodes)].step)
            estimate = lambda: before.latent + (1 - t) * velocity  # noqa: E731
            self.on_step(StepEvent(before.chunk, step, total, done, chunks, estimate))
