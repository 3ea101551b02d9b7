"""The layer norm of the transformer's attention heads and residual stream, and the two fused forms it is used in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magi_core.kernels.fused import add_gated, layer_norm_1p, normalise_and_rotate
from magi_core.operations.placed import OwnWeights


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

    def added(self, x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
        """`x + norm(gate * update)` in float32, in the dtype of `x`; the norm comes after the gate.

        x, update: [B, S, hidden]; gate: [B, n, hidden], one row per chunk of S / n tokens.
        """
        chunks = gate.shape[1]
        per_chunk = x.unflatten(1, (chunks, -1)), update.unflatten(1, (chunks, -1))
        with self.weights(x.device) as (weight, bias):
            return add_gated(*per_chunk, gate, weight, bias, self.eps).flatten(1, 2)
