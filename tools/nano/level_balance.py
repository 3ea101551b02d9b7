"""Loss weights by noise level, so that levels where much cannot be known do not drown the others."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.nano.batches import Batch
from tools.nano.slots import progress_of


class LevelBalance:
    """A slot's frames count `mean error of its level ** -power`; the means are followed as training goes on."""

    LEVELS, RATE = 20, 0.02

    def __init__(self, device: torch.device, power: float) -> None:
        self.power = power
        self.error = torch.ones(self.LEVELS, device=device)

    def _level(self, t: Tensor) -> Tensor:
        return (progress_of(t) * self.LEVELS).long().clamp(max=self.LEVELS - 1)

    def weigh(self, batch: Batch) -> Tensor:
        """The batch's frame weights [B, 36] times those of their noise levels."""
        weight = self.error[self._level(batch.t)] ** -self.power
        return batch.weight * weight.repeat_interleave(batch.weight.shape[1] // weight.shape[1], dim=1)

    @torch.no_grad()
    def update(self, per_slot: Tensor, batch: Batch) -> None:
        noisy = (batch.weight.unflatten(1, (per_slot.shape[1], -1)).sum(2) > 0).float()
        level = self._level(batch.t).flatten()
        count = torch.zeros_like(self.error).scatter_add_(0, level, noisy.flatten())
        total = torch.zeros_like(self.error).scatter_add_(0, level, (noisy * per_slot).flatten())
        mean = torch.where(count > 0, total / count.clamp(min=1), self.error)
        self.error = self.error.lerp(mean, self.RATE)


def by_quarter(per_slot: Tensor, batch: Batch) -> list[float | None]:
    """Mean squared error of noisy slots by quarter of the sampler's steps, noisy to clean, of one batch."""
    quarter = (progress_of(batch.t) * 4).long().clamp(max=3)
    noisy = batch.weight.unflatten(1, (6, -1)).sum(2) > 0
    groups = [per_slot[noisy & (quarter == q)] for q in range(4)]
    return [round(float(group.mean()), 4) if len(group) else None for group in groups]
