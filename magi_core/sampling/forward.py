"""One planned step through the transformer: guidance passes in, velocities out; and K/V pages of finished chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magi_core.attention.spans import Attention
from magi_core.config import SamplingSettings
from magi_core.dit import DiT, KVPage, Pages, TextAttention, TextContext, WindowAttention
from magi_core.kernels.compilation import Compiler, compiling
from magi_core.sampling.guidance import NOT_ASKED, PassWeights, pass_weights
from magi_core.sampling.timesteps import step_factor, step_intervals, timesteps
from magi_core.sampling.window import ForwardPlan, PlannedChunk


class StopAsked(Exception):
    """Raised between forwards by a `claim` that was asked to stop."""


@dataclass(frozen=True, eq=False)
class ForwardInput:
    """What one chunk brings to a forward: latent [C, T, h, w], timestep, text."""

    latent: Tensor
    timestep: float
    text: TextContext


class Predictor:
    """Predicts velocities for a planned window with the guidance its model was trained for.

    claim: called before every model call, to have the weights ready; raises `StopAsked` to stop. compiler: compiles
    parts of the model. where: pages are while they are used; on the device, if left out.
    Base models: up to three passes (text; null text; null text and alone). Distilled models: one, and on a nearly clean
    chunk a second look at that chunk alone. Source: reference README 2.4 and 2.5.
    """

    def __init__(
        self,
        dit: DiT,
        attention: Attention,
        settings: SamplingSettings,
        null: TextContext,
        claim: Callable[[], None] = lambda: None,
        compiler: Compiler | None = None,
        where: Pages | None = None,
    ) -> None:
        self.dit, self.attention, self.settings, self.null = dit, attention, settings, null
        self.claim, self.compiler, self.where = claim, compiler, where
        self.grid = timesteps(settings.steps, settings.shortcut)
        self.intervals = step_intervals(settings.steps, settings.shortcut)
        self._held: dict[str, dict[int, KVPage]] = {}  # by pass and chunk
        self._timesteps: dict[tuple[float, ...], Tensor] = {}  # on the device; every stage asks for the same

    def timestep(self, step: int) -> float:
        """Float32 timestep after `step` Euler steps, as a Python float."""
        return float(self.grid[step])

    @torch.no_grad()
    def __call__(
        self,
        plan: ForwardPlan,
        inputs: Sequence[ForwardInput],
        pages: Mapping[int, KVPage],
        fresh: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Velocities [C, T, h, w] of the chunks of `plan`, oldest first; `inputs` match them. Those of chunks that
        are carried nowhere are not to be used.

        pages: K/V by chunk index for the finished ones of `plan.history`; that of held ones is remembered, from the
        forward that was to keep it, until `forget_held`. fresh: the latent of `plan.fresh`, where there is one.
        """
        if self.dit.config.distill:
            return self._distilled(plan, inputs, pages)
        weights = [
            NOT_ASKED if planned.until is None else pass_weights(self.settings.guidance, chunk.timestep)
            for planned, chunk in zip(plan.chunks, inputs, strict=True)
        ]
        return tuple(map(_combine, weights, *self.passes(plan, inputs, pages, weights, fresh)))

    @torch.no_grad()
    def page(
        self, planned: PlannedChunk, latent: Tensor, pages: Mapping[int, KVPage], dropped: bool | None = None
    ) -> KVPage:
        """The K/V page of a finished chunk from its latent, at `clean_t` with null text, in a forward of its own.

        pages: those of `planned.history`. dropped: the condition it is made under; None for the one pages are kept of.
        """
        distilled = self.dit.config.distill
        chunk = ForwardInput(latent, self.settings.clean_t, self.null)
        window = self._window(ForwardPlan((planned,)), pages, keep=(0,))
        factor = step_factor(self.settings.steps, self.intervals[0]) if distilled else None
        dropped = not distilled if dropped is None else dropped
        self._forward([chunk], _frames([planned], [chunk], self.dit.device), window, dropped=dropped, factor=factor)
        return window.pages[0]

    def passes(
        self,
        plan: ForwardPlan,
        inputs: Sequence[ForwardInput],
        pages: Mapping[int, KVPage],
        weights: Sequence[PassWeights],
        fresh: Tensor | None = None,
    ) -> tuple[Sequence[Tensor | None], ...]:
        """Velocities per pass (text, previous, alone), None where no weight asks for one."""
        frames = _frames(plan.chunks, inputs, self.dit.device)
        nulls = [ForwardInput(chunk.latent, chunk.timestep, self.null) for chunk in inputs]
        previous = self._keeping("previous", plan, nulls, frames, pages, dropped=True)
        text: Sequence[Tensor | None] = [None] * len(inputs)
        if any(w.text for w in weights):  # noisier chunks attend to cleaner ones, so those run too
            if plan.fresh is not None:
                assert fresh is not None, "a fresh chunk comes with its latent"
                pages = {**pages, plan.fresh.index: self.page(plan.fresh, fresh, pages, dropped=False)}
            text = self._keeping("text", plan, inputs, frames, pages, dropped=False)
        return text, previous, self._alone(nulls, weights)

    def _alone(self, inputs: Sequence[ForwardInput], weights: Sequence[PassWeights]) -> Sequence[Tensor | None]:
        """Every chunk by itself, at frame position 0, without cache; chunks whose weight is zero are left out."""
        wanted = [i for i, weight in enumerate(weights) if weight.alone]
        out: list[Tensor | None] = [None] * len(inputs)
        if wanted:
            chosen = [inputs[i] for i in wanted]
            frames = torch.cat([torch.arange(chunk.latent.shape[1], device=self.dit.device) for chunk in chosen])
            window = WindowAttention(self.attention, [(i, i + 1) for i in range(len(chosen))])
            for i, velocity in zip(wanted, self._forward(chosen, frames, window, dropped=True), strict=True):
                out[i] = velocity
        return out

    def _distilled(
        self, plan: ForwardPlan, inputs: Sequence[ForwardInput], pages: Mapping[int, KVPage]
    ) -> tuple[Tensor, ...]:
        frames = _frames(plan.chunks, inputs, self.dit.device)
        factor = step_factor(self.settings.steps, self.intervals[plan.chunks[-1].step])
        oldest = inputs[0]
        # float32 0.3 is above the double 0.3, so the fourth quarter starts nearly clean
        nearly_clean = plan.cleanest is not None and oldest.timestep > self.settings.nearly_clean_threshold
        if not nearly_clean:
            return tuple(self._keeping("text", plan, inputs, frames, pages, dropped=False, factor=factor))
        size = oldest.latent.shape[1]
        behind = (plan.chunks[0].index + self.settings.window) * size  # the last of a full window, also where it drains
        frames = torch.cat([frames, torch.arange(behind, behind + size, device=frames.device)])
        together = self._keeping(
            "text", plan, [*inputs, oldest], frames, pages, duplicate=True, dropped=False, factor=factor
        )
        first, *others, by_itself = together
        blend = self.settings.nearly_clean_blend
        return (blend * first + (1 - blend) * by_itself, *others)

    def forget_held(self) -> None:
        """Give the K/V of held chunks up: a stage is over."""
        self._held.clear()

    def _keeping(
        self,
        name: str,
        plan: ForwardPlan,
        inputs: Sequence[ForwardInput],
        frames: Tensor,
        pages: Mapping[int, KVPage],
        *,
        duplicate: bool = False,
        **how: Any,
    ) -> list[Tensor]:
        """The forward of one pass, called `name`, which reads the K/V of held chunks and keeps that of those to be."""
        held = self._held.setdefault(name, {})
        for chunk in plan.chunks:
            held.pop(chunk.index, None)  # it is looked at again, so nobody reads its last look any more
        keep = [place for place, chunk in enumerate(plan.chunks) if chunk.index in plan.keep]
        window = self._window(plan, {**pages, **held}, keep, duplicate)
        velocities = self._forward(inputs, frames, window, **how)
        held |= {plan.chunks[place].index: page for place, page in window.pages.items()}
        return velocities

    def _window(
        self, plan: ForwardPlan, pages: Mapping[int, KVPage], keep: Sequence[int] = (), duplicate: bool = False
    ) -> WindowAttention:
        """Attention of the plan's chunks, ranges counted from its first history page; a duplicate sees only itself."""
        there = [*plan.history, *(chunk.index for chunk in plan.chunks)]
        place = {index: position for position, index in enumerate(there)}
        ranges = [(place[chunk.attends[0]], place[chunk.index] + 1) for chunk in plan.chunks]
        if duplicate:
            ranges.append((len(there), len(there) + 1))
        return WindowAttention(self.attention, ranges, [pages[i] for i in plan.history], keep, self.where)

    def _forward(
        self,
        inputs: Sequence[ForwardInput],
        frames: Tensor,
        window: WindowAttention,
        *,
        dropped: bool,
        factor: float | None = None,
    ) -> list[Tensor]:
        self.claim()
        with compiling(self.compiler):
            velocity = self.dit(
                torch.cat([chunk.latent for chunk in inputs], dim=1)[None].to(self.dit.device),
                self._told(tuple(chunk.timestep for chunk in inputs)),
                TextAttention(self.attention, [chunk.text for chunk in inputs]),
                frames=frames,
                attend=window,
                dropped=dropped,
                step_factor=factor,
            )
        return list(velocity[0].chunk(len(inputs), dim=1))

    def _told(self, timesteps: tuple[float, ...]) -> Tensor:
        """[1, n] float32 on the device. Sent once a run: what is sent has a GPU wait for the processor."""
        if timesteps not in self._timesteps:
            self._timesteps[timesteps] = torch.tensor([timesteps], dtype=torch.float32, device=self.dit.device)
        return self._timesteps[timesteps]


def _frames(chunks: Sequence[PlannedChunk], inputs: Sequence[ForwardInput], device: torch.device) -> Tensor:
    """Absolute latent frame index of every frame in the forward, made on `device`."""
    size = inputs[0].latent.shape[1]
    return torch.cat([torch.arange(c.index * size, (c.index + 1) * size, device=device) for c in chunks])


def _combine(weights: PassWeights, text: Tensor | None, previous: Tensor, alone: Tensor | None) -> Tensor:
    velocity = weights.previous * previous
    if weights.alone:
        assert alone is not None, "every pass with a weight was made"
        velocity = weights.alone * alone + velocity
    if weights.text:
        assert text is not None, "every pass with a weight was made"
        velocity = velocity + weights.text * text
    return velocity
