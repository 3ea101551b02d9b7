"""What enters the blocks beside the patches, and what leaves them: all of it runs in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magi_core.config import DiTConfig
from magi_core.operations import Operations

FREQUENCY_SIZE = 256
EIGHT = 8


def timestep_features(t: Tensor) -> Tensor:
    """Sinusoidal features [..., 256] float32 of `t` [...]: cosines first, period up to 10000, t in thousandths."""
    half = FREQUENCY_SIZE // 2
    exponents = -math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half
    frequencies = exponents.double().exp().float()  # a float32 exponential differs between processors by a last bit
    angles = t.float()[..., None] * frequencies * 1000.0  # in the reference's order: at t = 32 it shows
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def in_eights(layers: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`layers(rows)` of few rows [..., n, c], eight at a time, the last filled up.

    A product of one row is another kernel than one of two, and on some processors one of sixteen another than one of
    eight, with other last bits: so what is said of a chunk does not depend on how many are in flight with it.
    """
    count = rows.shape[-2]
    parts = F.pad(rows, (0, 0, 0, -count % EIGHT)).split(EIGHT, dim=-2)
    return (layers(parts[0]) if len(parts) == 1 else torch.cat([layers(part) for part in parts], dim=-2))[
        ..., :count, :
    ]


def on_device(value: float | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[B, 1] of one value for all (B = 1), which is made there and not sent, or of those in a tensor [B]."""
    if isinstance(value, Tensor):
        return value.to(device, dtype).reshape(-1, 1)
    return torch.full((1, 1), value, dtype=dtype, device=device)


class TimestepEmbedder(nn.Module):
    def __init__(self, config: DiTConfig, ops: Operations, **factory: Any) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            ops.Linear(FREQUENCY_SIZE, config.cond_size, **factory),
            nn.SiLU(),
            ops.Linear(config.cond_size, config.cond_size, **factory),
        )

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """[..., cond] float32 from `t` [...]. The features pass through `dtype` first, as in the reference."""
        return in_eights(self.mlp, timestep_features(t).to(dtype).float())


class CaptionEmbedder(nn.Module):
    """Projects text for cross-attention and holds the learned null text.

    The adaptive branch never sees the prompt: it projects the last null row (prompt dropped) or the one before.
    """

    def __init__(self, config: DiTConfig, ops: Operations, **factory: Any) -> None:
        super().__init__()
        self.placed = ops.placed
        self.null_caption_embedding = nn.Parameter(
            torch.empty(config.caption_max_length, config.caption_channels, **factory)
        )
        self.y_proj_xattn = nn.Sequential(ops.Linear(config.caption_channels, config.hidden_size, **factory), nn.SiLU())
        self.y_proj_adaln = nn.Sequential(ops.Linear(config.caption_channels, config.cond_size, **factory))

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., L, hidden] float32 from text embeddings [..., L, caption channels]."""
        return self.y_proj_xattn(tokens.float())

    def condition(self, dropped: bool | Tensor, device: torch.device) -> Tensor:
        """[B, cond] float32, on `device`, for a flag (B = 1) or flags [B] saying whether the prompt is dropped."""
        rows = self.placed(self.null_caption_embedding[-2:], device).float()
        return self.y_proj_adaln(torch.where(on_device(dropped, torch.bool, device), rows[1], rows[0]))


class FinalLinear(nn.Module):
    def __init__(self, config: DiTConfig, ops: Operations, **factory: Any) -> None:
        super().__init__()
        size = config.t_patch_size * config.patch_size**2 * config.out_channels
        self.linear = ops.Linear(config.hidden_size, size, bias=False, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)
