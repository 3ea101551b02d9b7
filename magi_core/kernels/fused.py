"""Plain tensor functions between the transformer's matrix products: the oracle of every faster kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magi_core.kernels.compilation import fusible


def rotate(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """Rotate the first `2 * r` channels of `x` [B, S, heads, d], half against half; `sine`, `cosine`: [S, r]."""
    r = sine.shape[-1]
    sine, cosine = sine[:, None], cosine[:, None]
    first, second, rest = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine, rest], dim=-1)


def layer_norm_1p(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis with gain `1 + weight`."""
    return F.layer_norm(x, (x.shape[-1],), weight + 1, bias, eps)


@fusible(x=(1,), sine=(0,), cosine=(0,))
def normalise_and_rotate(x: Tensor, sine: Tensor, cosine: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`layer_norm_1p`, then `rotate`, of `x` [B, S, heads, d] in float32; returned in the dtype of `x`."""
    return rotate(layer_norm_1p(x.float(), weight, bias, eps), sine, cosine).to(x.dtype)


@fusible(x=(1,))
def gated_silu(x: Tensor) -> Tensor:
    """The first half of the last axis through SiLU, times the second half."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


@fusible(x=(1, 2), update=(1, 2), gate=(1,))
def add_gated(x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`x + layer_norm_1p(gate * update)` in float32, returned in the dtype of `x`; the norm comes after the gate.

    x, update: [B, n, S / n, hidden]; gate: [B, n, hidden], one row per chunk.
    """
    return (x.float() + layer_norm_1p(update.float() * gate.float()[:, :, None], weight, bias, eps)).to(x.dtype)


FP8_MAX = torch.finfo(torch.float8_e4m3fn).max


@fusible(x=(1,))
def quantise(x: Tensor, scale: Tensor) -> Tensor:
    """`x / scale` in float32, clamped, rounded to bfloat16, then to float8_e4m3fn (twice, like the reference)."""
    return (x.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(torch.bfloat16).to(torch.float8_e4m3fn)
