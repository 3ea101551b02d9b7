"""The sampling loop: walks the window plan, moves the chunks in flight, hands out finished ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from magi_core.dit import KVPage, TextContext
from magi_core.sampling.forward import ForwardInput, Predictor
from magi_core.sampling.plan import (
    ForwardPlan,
    Slot,
    forward_count,
    pages_read,
    plan_history,
    plan_stage,
    stages,
)


@dataclass(frozen=True, eq=False)
class InFlight:
    """A chunk on its way from noise to clean.

    latent: [C, T, h, w] float32. text: [L, caption channels], visible tokens only, special tokens included.
    """

    chunk: int
    latent: Tensor
    text: Tensor
    prompt: str
    seed: int


@dataclass(frozen=True, eq=False)
class StepEvent:
    """Progress after one step of the loop.

    chunk: index of the oldest chunk in flight. step, steps: forwards done and in all. done, chunks: chunks finished and
    asked for. clean_estimate: call it for the oldest chunk's predicted clean latent `x + (1 - t) v`, [C, T, h, w].
    """

    chunk: int
    step: int
    steps: int
    done: int
    chunks: int
    clean_estimate: Callable[[], Tensor]


class Run:
    """One run of the loop over new chunks.

    anchor: prefix frames [C, r, h, w] of a partly given first chunk; re-imposed before every forward.
    """

    def __init__(
        self,
        predictor: Predictor,
        text_context: Callable[[Tensor], TextContext],
        *,
        start: int,
        anchor: Tensor | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
    ) -> None:
        self.predictor, self.settings = predictor, predictor.settings
        self.start, self.anchor, self.on_step = start, anchor, on_step
        self._text_context = text_context
        self._contexts: dict[int, TextContext] = {}
        self.pages: dict[int, KVPage] = {}

    def encode_history(self, latents: Mapping[int, Tensor]) -> None:
        """Make the K/V pages of finished chunks that this run reads, all in one forward. `latents` by chunk index."""
        if latents:
            plan = plan_history(sorted(latents), self.settings)
            self.pages.update(self.predictor.encode(plan, [latents[c.chunk] for c in plan.chunks]))

    def __call__(self, entering: Sequence[InFlight]) -> Iterator[InFlight]:
        """Denoise `entering` (consecutive chunks from `start` on); yields each as it becomes clean, in order."""
        settings = self.settings
        moving = {chunk.chunk: chunk for chunk in entering}
        total, step, done = forward_count(len(entering), settings), 0, 0
        finished: InFlight | None = None
        for slots in stages(self.start, len(entering), settings.window):
            for plan in plan_stage(slots, self.start, settings):
                before = moving[slots[0].chunk]
                velocities = self._advance(plan, moving, finished)
                step += 1
                self._report(
                    slots[0], plan, before, velocities[0], step=step, total=total, done=done, chunks=len(entering)
                )
            self._forget(slots[0].chunk)
            if slots[0].stage + 1 == settings.window:
                finished = self._finish(moving.pop(slots[0].chunk))
                done += 1
                yield finished

    def _advance(
        self, plan: ForwardPlan, moving: dict[int, InFlight], finished: InFlight | None
    ) -> Sequence[Tensor]:
        """One forward and one Euler step of every noisy chunk in `plan`; K/V of a re-encoded chunk joins the pages."""
        predictor, inputs, noisy = self.predictor, [], []
        for planned in plan.chunks:
            if planned.clean:
                latent = self._anchored(finished).latent
                inputs.append(ForwardInput(latent, self.settings.clean_t, predictor.null))
            else:
                chunk = moving[planned.chunk] = self._anchored(moving[planned.chunk])
                t = predictor.timestep(planned.step)
                inputs.append(ForwardInput(chunk.latent, t, self._context(chunk)))
                noisy.append(planned)
        output = predictor(plan, inputs, self.pages)
        self.pages.update(output.pages)
        for planned, velocity in zip(noisy, output.velocities, strict=True):
            chunk = moving[planned.chunk]
            width = predictor.grid[planned.step + 1] - predictor.grid[planned.step]
            moving[planned.chunk] = replace(chunk, latent=chunk.latent + velocity * width.to(velocity.device))
        return output.velocities

    def _anchored(self, chunk: InFlight) -> InFlight:
        if self.anchor is None or chunk.chunk != self.start:
            return chunk
        rest = chunk.latent[:, self.anchor.shape[1] :]
        return replace(chunk, latent=torch.cat([self.anchor.to(rest), rest], dim=1))

    def _finish(self, chunk: InFlight) -> InFlight:
        """The reference leaves the last velocity on given frames; by default they stay what was given."""
        return chunk if self.settings.reference_quirks else self._anchored(chunk)

    def _context(self, chunk: InFlight) -> TextContext:
        key = id(chunk.text)
        if key not in self._contexts:
            self._contexts[key] = self._text_context(chunk.text)
        return self._contexts[key]

    def _forget(self, oldest: int) -> None:
        """Drop pages that no later forward of this run can read."""
        keep = pages_read(self.settings, oldest)
        self.pages = {index: page for index, page in self.pages.items() if index >= keep.start}

    def _report(
        self,
        oldest: Slot,
        plan: ForwardPlan,
        before: InFlight,
        velocity: Tensor,
        *,
        step: int,
        total: int,
        done: int,
        chunks: int,
    ) -> None:
        if self.on_step is None:
            return
        t = self.predictor.timestep(plan.chunks[int(plan.reencodes)].step)
        self.on_step(
            StepEvent(oldest.chunk, step, total, done, chunks, lambda: before.latent + (1 - t) * velocity)
        )
