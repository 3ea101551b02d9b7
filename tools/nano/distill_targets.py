"""What the distilled model learns to predict, and for which step sizes.

At the shortest step: the teacher's guided velocity. At longer ones: the average velocity of two steps of half the
length by the student itself (shortcut models, Frans et al. 2024). Steps and what the model is told about them are the
engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from magi_core.config import Guidance
from magi_core.sampling.guidance import KNOT_TOLERANCE
from magi_core.sampling.timesteps import step_factor, timesteps
from tools.nano.batches import CLEAN_T, Batch
from tools.nano.slots import Mix, progress_of

FINE, COARSE, DRAFT = 16, 8, 4  # steps of the runs whose step sizes are learned; 12 steps mix the first two
FINE_FACTOR, COARSE_FACTOR, DRAFT_FACTOR = (step_factor(steps, 1) for steps in (FINE, COARSE, DRAFT))
FINE_MIX = Mix(null=0.04, alone=0.0, range_one=0.12, random_ranges=0.2, tagged=0.0, staggered=1.0, late=0.6, steps=FINE)
COARSE_MIX, DRAFT_MIX = replace(FINE_MIX, steps=COARSE), replace(FINE_MIX, steps=DRAFT)
OTHER_CLEAN = 0.2  # samples whose clean chunks were cached at the other step size, as runs of 12 steps have it

Velocity = Callable[[Batch, Tensor], Tensor]
"""`(batch, step factors [B, 6]) -> velocity [B, C, 36, h, w]`, one pass."""


def slots_of(values: Tensor, like: Tensor) -> Tensor:
    """Values per slot [B, 6] spread over the latent frames of `like` [B, C, 36, h, w]."""
    return values.repeat_interleave(like.shape[2] // values.shape[1], dim=1)[:, None, :, None, None]


def as_student(batch: Batch) -> Batch:
    """The batch as the engine hands it to a distilled model: no dropped flags, null text without special tokens."""
    prefix = batch.prefix.masked_fill(batch.null[..., None], -1)
    return replace(batch, dropped=torch.zeros_like(batch.dropped), prefix=prefix)


def guidance_passes(batch: Batch) -> Batch:
    """Three times the batch: with text, with null text, and every slot with null text and by itself."""
    noisy = batch.t < CLEAN_T
    everywhere = torch.ones_like(batch.null)
    text = replace(as_student(batch), dropped=~noisy | batch.null)
    nothing = torch.full_like(batch.prefix, -1)
    previous = replace(batch, null=everywhere, dropped=everywhere, prefix=nothing)
    itself = torch.arange(batch.first_key.shape[1], device=batch.x.device).expand_as(batch.first_key)
    alone = replace(previous, first_key=itself.contiguous())
    return text.joined(previous).joined(alone)


def pass_scales(guidance: Guidance, t: Tensor) -> tuple[Tensor, Tensor]:
    """(previous, text) scales at timesteps of any shape, as `magi_core.sampling.guidance.scales` gives them."""
    knots = torch.tensor(guidance.knots, dtype=torch.float32, device=t.device) - KNOT_TOLERANCE
    index = (knots < t[..., None]).sum(-1) - 1
    previous, text = (torch.tensor(x, device=t.device) for x in (guidance.previous, guidance.text))
    return previous[index], text[index]


@torch.no_grad()
def guided_target(batch: Batch, guidance: Guidance, teacher: Callable[[Batch], Tensor]) -> Tensor:
    """The teacher's velocity with guidance [B, C, 36, h, w]; `teacher` runs the three passes as one batch."""
    text, previous, alone = teacher(guidance_passes(batch)).chunk(3)
    scale_previous, scale_text = (slots_of(s, text) for s in pass_scales(guidance, batch.t))
    return (1 - scale_previous) * alone + (scale_previous - scale_text) * previous + scale_text * text


@torch.no_grad()
def shortcut_target(batch: Batch, student: Velocity, steps: Tensor) -> Tensor:
    """The average velocity of two steps, of half the length, from the batch's timesteps; given frames and clean chunks
    stay. steps [B]: of the run that a sample's timesteps are of, COARSE or DRAFT."""
    batch = as_student(batch)
    grid = timesteps(FINE).to(batch.t)  # which all shorter runs' are parts of
    noisy = batch.t < CLEAN_T
    half = (FINE // (2 * steps))[:, None]
    at = (progress_of(batch.t) * FINE).round().long().minimum(FINE - 2 * half)
    first, second = (torch.where(noisy, grid[at + i * half + half] - grid[at + i * half], 0.0) for i in (0, 1))
    free = ~batch.fixed[:, None, :, None, None]
    factor = steps[:, None].to(batch.t).expand_as(batch.t)  # `step_factor` of twice the steps
    velocity = student(batch, factor)
    moved = torch.where(free, batch.x + slots_of(first, batch.x) * velocity, batch.x)
    middle = replace(batch, x=moved, t=torch.where(noisy, grid[at + half], batch.t))
    share = slots_of(first / (first + second).clamp(min=1e-9), velocity)
    return share * velocity + (1 - share) * student(middle, factor)


def step_factors(batch: Batch, factor: float, other: float, generator: torch.Generator) -> Tensor:
    """[B, 6]: one factor for a whole sample; in some, the clean chunks' is the `other` one."""
    device = batch.t.device
    mixed = torch.rand(len(batch.t), 1, device=device, generator=generator) < OTHER_CLEAN
    return torch.where(mixed & (batch.t >= CLEAN_T), other, factor)
