"""One planned forward through the transformer: guidance passes in, velocities and K/V pages out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.attention.spans import Attention
from magi_core.config import SamplingSettings
from magi_core.dit import DiT, KVPage, TextAttention, TextContext, WindowAttention
from magi_core.kernels.compilation import Compiler, compiling
from magi_core.sampling.guidance import PassWeights, pass_weights
from magi_core.sampling.timesteps import step_factor, step_intervals, timesteps
from magi_core.sampling.window import ForwardPlan


class StopAsked(Exception):
    """Raised between forwards by a `claim` that was asked to stop."""


@dataclass(frozen=True, eq=False)
class ForwardInput:
    """What one chunk brings to a forward: latent [C, T, h, w], timestep, text."""

    latent: Tensor
    timestep: float
    text: TextContext


@dataclass(frozen=True, eq=False)
class ForwardOutput:
    """Velocities of the noisy chunks, oldest first, each [C, T, h, w]; pages of re-encoded clean chunks by index."""

    velocities: tuple[Tensor, ...]
    pages: Mapping[int, KVPage]


class Predictor:
    """Predicts velocities for a planned window with the guidance its model was trained for.

    claim: called before every model call, to have the weights ready; raises `StopAsked` to stop. compiler: compiles
    parts of the model.
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
    ) -> None:
        self.dit, self.attention, self.settings, self.null = dit, attention, settings, null
        self.claim, self.compiler = claim, compiler
        self.grid = timesteps(settings.steps, settings.shortcut)
        self.intervals = step_intervals(settings.steps, settings.shortcut)

    def timestep(self, step: int) -> float:
        """Float32 timestep after `step` Euler steps, as a Python float."""
        return float(self.grid[step])

    @torch.no_grad()
    def __call__(self, plan: ForwardPlan, inputs: Sequence[ForwardInput], pages: Mapping[int, KVPage]) -> ForwardOutput:
        """Run the forward `plan`; `inputs` match its chunks, `pages` holds K/V by chunk index for `plan.history`."""
        if self.dit.config.distill:
            return self._distilled(plan, inputs, pages)
        return self._guided(plan, inputs, pages)

    @torch.no_grad()
    def encode(self, plan: ForwardPlan, latents: Sequence[Tensor]) -> Mapping[int, KVPage]:
        """K/V pages of finished chunks, from their latents, at `clean_t` with null text."""
        inputs = [ForwardInput(latent, self.settings.clean_t, self.null) for latent in latents]
        window = self._window(plan, {}, keep=range(len(inputs)))
        distilled = self.dit.config.distill
        factor = step_factor(self.settings.steps, self.intervals[0]) if distilled else None
        self._forward(inputs, _frames(plan, inputs), window, dropped=not distilled, factor=factor)
        return {plan.chunks[i].index: page for i, page in window.pages.items()}

    def _guided(self, plan: ForwardPlan, inputs: Sequence[ForwardInput], pages: Mapping[int, KVPage]) -> ForwardOutput:
        weights = [pass_weights(self.settings.guidance, c.timestep) for c in inputs[int(plan.reencodes) :]]
        velocities, made = self.passes(plan, inputs, pages, weights)
        return ForwardOutput(tuple(map(_combine, weights, *velocities)), made)

    def passes(
        self,
        plan: ForwardPlan,
        inputs: Sequence[ForwardInput],
        pages: Mapping[int, KVPage],
        weights: Sequence[PassWeights],
    ) -> tuple[tuple[Sequence[Tensor | None], ...], Mapping[int, KVPage]]:
        """Velocities of the noisy chunks per pass (text, previous, alone), None where no weight asks; new pages.

        The pass with context and null text is the one whose K/V is kept.
        """
        frames, lead = _frames(plan, inputs), int(plan.reencodes)
        noisy = inputs[lead:]
        window = self._window(plan, pages, keep=range(lead))
        nulls = [ForwardInput(chunk.latent, chunk.timestep, self.null) for chunk in inputs]
        previous = self._forward(nulls, frames, window, dropped=True)[lead:]
        text: Sequence[Tensor | None] = [None] * len(noisy)
        if any(w.text for w in weights):  # noisier chunks attend to cleaner ones, so those run too
            window_text = self._window(plan, pages)
            text = self._forward(inputs, frames, window_text, dropped=False)[lead:]
        alone = self._alone(nulls[lead:], weights)
        made = {plan.chunks[i].index: page for i, page in window.pages.items()}
        return (text, previous, alone), made

    def _alone(self, inputs: Sequence[ForwardInput], weights: Sequence[PassWeights]) -> Sequence[Tensor | None]:
        """Every chunk by itself, at frame position 0, without cache; chunks whose weight is zero are left out."""
        wanted = [i for i, weight in enumerate(weights) if weight.alone]
        out: list[Tensor | None] = [None] * len(inputs)
        if wanted:
            chosen = [inputs[i] for i in wanted]
            frames = torch.cat([torch.arange(chunk.latent.shape[1]) for chunk in chosen])
            window = WindowAttention(self.attention, [(i, i + 1) for i in range(len(chosen))])
            for i, velocity in zip(wanted, self._forward(chosen, frames, window, dropped=True), strict=True):
                out[i] = velocity
        return out

    def _distilled(
        self, plan: ForwardPlan, inputs: Sequence[ForwardInput], pages: Mapping[int, KVPage]
    ) -> ForwardOutput:
        frames, lead = _frames(plan, inputs), int(plan.reencodes)
        factor = step_factor(self.settings.steps, self.intervals[plan.chunks[-1].step])
        oldest = inputs[lead]
        # float32 0.3 is above the double 0.3, so the fourth quarter starts nearly clean
        nearly_clean = oldest.timestep > self.settings.nearly_clean_threshold
        window = self._window(plan, pages, keep=range(lead), duplicate=nearly_clean)
        if nearly_clean:
            size = oldest.latent.shape[1]
            frames = torch.cat([frames, frames[-1] + 1 + torch.arange(size)])
            inputs = [*inputs, oldest]
        velocities = self._forward(inputs, frames, window, dropped=False, factor=factor)
        if nearly_clean:
            blend = self.settings.nearly_clean_blend
            *velocities, by_itself = velocities
            velocities[lead] = blend * velocities[lead] + (1 - blend) * by_itself
        made = {plan.chunks[i].index: page for i, page in window.pages.items()}
        return ForwardOutput(tuple(velocities[lead:]), made)

    def _window(
        self, plan: ForwardPlan, pages: Mapping[int, KVPage], keep: Sequence[int] = (), duplicate: bool = False
    ) -> WindowAttention:
        """Attention of the plan's chunks, ranges counted from its first history page; a duplicate sees only itself."""
        start = plan.history.start
        ranges = [(c.attends[0] - start, c.attends[1] - start) for c in plan.chunks]
        if duplicate:
            last = plan.chunks[-1].index + 1 - start
            ranges.append((last, last + 1))
        return WindowAttention(self.attention, ranges, [pages[i] for i in plan.history], keep)

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
        device = self.dit.device
        with compiling(self.compiler):
            velocity = self.dit(
                torch.cat([chunk.latent for chunk in inputs], dim=1)[None].to(device),
                torch.tensor([[chunk.timestep for chunk in inputs]], dtype=torch.float32, device=device),
                TextAttention(self.attention, [chunk.text for chunk in inputs]),
                frames=frames.to(device),
                attend=window,
                dropped=dropped,
                step_factor=factor,
            )
        return list(velocity[0].chunk(len(inputs), dim=1))


def _frames(plan: ForwardPlan, inputs: Sequence[ForwardInput]) -> Tensor:
    """Absolute latent frame index of every frame in the forward."""
    size = inputs[0].latent.shape[1]
    return torch.cat([torch.arange(size) + c.index * size for c in plan.chunks])


def _combine(weights: PassWeights, text: Tensor | None, previous: Tensor, alone: Tensor | None) -> Tensor:
    velocity = weights.previous * previous
    if weights.alone:
        assert alone is not None, "every pass with a weight was made"
        velocity = weights.alone * alone + velocity
    if weights.text:
        assert text is not None, "every pass with a weight was made"
        velocity = velocity + weights.text * text
    return velocity
