"""The transformer's layer norms, and the fused forms they are used in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.kernels.fused import (
    Scale,
    add_gated,
    add_gated_in_place,
    layer_norm_1p,
    normalise_and_quantise,
    normalise_and_rotate,
)
from magi_core.operations.placed import OwnWeights


class LayerNorm(OwnWeights, nn.LayerNorm):  # type: ignore[misc]  # a parameter is a tensor
    """PyTorch's layer norm over the last axis, also quantised in the same pass."""

    def forward(self, x: Tensor) -> Tensor:
        with self.weights(x.device) as (weight, bias):
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)

    def quantised(self, x: Tensor, scales: Sequence[Scale]) -> tuple[Tensor, ...]:
        """The norm of `x` in float8_e4m3fn, once for each of `scales`."""
        with self.weights(x.device) as (weight, bias):
            return normalise_and_quantise(x, weight, bias, tuple(scales), self.eps)


class LayerNorm1p(OwnWeights, nn.Module):
    """Layer norm over the last axis with gain `1 + weight`."""

    def __init__(
        self, size: int, eps: float, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(size, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(size, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        with self.weights(x.device) as (weight, bias):
            return layer_norm_1p(x, weight, bias, self.eps)

    def rotated(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """The norm of `x` [B, S, heads, d] in float32, then rotated by sine and cosine [S, r]; in the dtype of `x`."""
        with self.weights(x.device) as (weight, bias):
            return normalise_and_rotate(x, *rope, weight, bias, self.eps)

    def added(self, x: Tensor, update: Tensor, gate: Tensor, *, in_place: bool = False) -> Tensor:
        """`x + norm(gate * update)` in float32, in the dtype of `x`; the norm comes after the gate.

        x, update: [B, S, hidden]; gate: [B, n, hidden], one row per chunk of S / n tokens. in_place: written over `x`.
        """
        chunks, add = gate.shape[1], add_gated_in_place if in_place else add_gated
        per_chunk = x.unflatten(1, (chunks, -1)), update.unflatten(1, (chunks, -1))
        with self.weights(x.device) as (weight, bias):
            return add(*per_chunk, gate, weight, bias, self.eps).flatten(1, 2)
