"""The time grid of the Euler sampler: t = 0 is noise, t = 1 is clean."""

from __future__ import annotations

import torch
from torch import Tensor

from magi_core.errors import MagiError, echo

SHIFT = 1 / 3
SHORTCUT_INTERVALS = {"8,16,16": (2, 1, 1), "16,16,8": (1, 1, 2)}
"""Steps of the 12-step grid, counted in steps of the 16-step grid, one tuple per quarter."""


def timesteps(steps: int, shortcut: str = "8,16,16") -> Tensor:
    """[steps + 1] float32, from 0 to 1: uniform, squared, then shifted by w = 1/3.

    12 steps follow the 16-step grid with one double step in every quarter, first or last as `shortcut` says.
    Source: reference `init_t`; values equal its float32 results exactly.
    """
    if steps == 12:
        grid = timesteps(16)
        index = torch.tensor([0, *step_intervals(steps, shortcut)]).cumsum(0)
        return grid[index]
    t = torch.linspace(0, 1, steps + 1) ** 2
    return SHIFT * t / (1 - (1 - SHIFT) * t)


def step_intervals(steps: int, shortcut: str = "8,16,16") -> tuple[int, ...]:
    """Width of every step in steps of the finest grid it shares: all 1 unless `steps` is a multiple of 3."""
    if shortcut not in SHORTCUT_INTERVALS:
        raise MagiError(f"unknown shortcut {echo(shortcut)}: use {' or '.join(map(repr, SHORTCUT_INTERVALS))}")
    if steps % 3:
        return (1,) * steps
    return SHORTCUT_INTERVALS[shortcut] * (steps // 3)


def step_factor(steps: int, interval: int) -> float:
    """What distilled models are told about the step size: 64 / 2 for the finest grid, less for longer steps."""
    return 8 / interval if steps == 12 else steps / 2
