"""Plain tensor functions between the transformer's matrix products: the oracle of every faster kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from magi_core.kernels.compilation import fusible
from magi_core.kernels.fast import with_fast_form


def rotate(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """Rotate the first `2 * r` channels of `x` [B, S, heads, d], half against half; `sine`, `cosine`: [S, r]."""
    r = sine.shape[-1]
    sine, cosine = sine[:, None], cosine[:, None]
    first, second, rest = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine, rest], dim=-1)


@with_fast_form
def layer_norm_1p(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis with gain `1 + weight`."""
    return F.layer_norm(x, (x.shape[-1],), weight + 1, bias, eps)


@with_fast_form
@fusible(x=(1,), sine=(0,), cosine=(0,))
def normalise_and_rotate(x: Tensor, sine: Tensor, cosine: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`layer_norm_1p`, then `rotate`, of `x` [B, S, heads, d] in float32; returned in the dtype of `x`."""
    return rotate(layer_norm_1p(x.float(), weight, bias, eps), sine, cosine).to(x.dtype)


@with_fast_form
@fusible(x=(1,))
def gated_silu(x: Tensor) -> Tensor:
    """The first half of the last axis through SiLU, times the second half."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


@with_fast_form
@fusible(x=(1, 2), update=(1, 2), gate=(1,))
def add_gated(x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`x + layer_norm_1p(gate * update)` in float32, returned in the dtype of `x`; the norm comes after the gate.

    x, update: [B, n, S / n, hidden]; gate: [B, n, hidden], one row per chunk.
    """
    return (x.float() + layer_norm_1p(update.float() * gate.float()[:, :, None], weight, bias, eps)).to(x.dtype)


@with_fast_form
def add_gated_in_place(x: Tensor, update: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """`add_gated`, written over `x`."""
    return x.copy_(add_gated(x, update, gate, weight, bias, eps))


STANDARDISE_EPS = 1e-5


@with_fast_form
def standardise(x: Tensor) -> Tensor:
    """`(x - mean) / (std + eps)` over the last axis, population std; computed in float32, in the dtype of `x`."""
    wide = x.float()
    centred = wide - wide.mean(-1, keepdim=True)
    return (centred / (wide.std(-1, correction=0, keepdim=True) + STANDARDISE_EPS)).to(x.dtype)


def interleave(own: Tensor, text: Tensor, groups: int) -> Tensor:
    """[..., 2 * width] from two of [..., width], `groups` groups of channels of either in turn."""
    return torch.stack([own.unflatten(-1, (groups, -1)), text.unflatten(-1, (groups, -1))], dim=-2).flatten(-3)


FP8_MAX = torch.finfo(torch.float8_e4m3fn).max


class Scale(NamedTuple):
    """What rows [..., width] are divided by on their way to float8: `by`, float32 [width] or [1], and its `inverse`,
    which fast forms begin with."""

    by: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, by: Tensor) -> Scale:
        return cls(by, by.reciprocal())


@with_fast_form
@fusible(x=(1,))
def quantise(x: Tensor, scale: Scale) -> Tensor:
    """`x / scale` in float32, clamped, rounded to bfloat16, then to float8_e4m3fn (twice, like the reference)."""
    return (x.float() / scale.by).clamp(-FP8_MAX, FP8_MAX).to(torch.bfloat16).to(torch.float8_e4m3fn)


@with_fast_form
def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every row of `x` [..., in] over a scale of its own, in float8_e4m3fn, and the scales [..., 1] in float32: a row's
    greatest number becomes the greatest of the format. Rows of zeros have the scale 1."""
    wide = x.float()
    greatest = wide.abs().amax(-1, keepdim=True)
    scale = torch.where(greatest > 0, greatest / FP8_MAX, 1)
    return (wide / scale).clamp(-FP8_MAX, FP8_MAX).to(torch.float8_e4m3fn), scale


@with_fast_form
@fusible(x=(1,))
def normalise_and_quantise(
    x: Tensor, weight: Tensor, bias: Tensor, scales: Sequence[Scale], eps: float
) -> tuple[Tensor, ...]:
    """The layer norm of `x` with gain `weight`, in its dtype, quantised by each of `scales`."""
    normed = F.layer_norm(x, (x.shape[-1],), weight, bias, eps)
    return tuple(quantise(normed, scale) for scale in scales)


@with_fast_form
def gelu_in_place(x: Tensor) -> Tensor:
    """GELU in the dtype of `x`, written over it."""
    return x.copy_(F.gelu(x))


@with_fast_form
@fusible(x=(1,))
def gelu_and_quantise(x: Tensor, scale: Scale) -> Tensor:
    """GELU in the dtype of `x`, quantised."""
    return quantise(F.gelu(x), scale)


@with_fast_form
@fusible(x=(1,))
def gated_silu_and_quantise(x: Tensor, scale: Scale) -> Tensor:
    """`gated_silu`, quantised."""
    return quantise(gated_silu(x), scale)


@with_fast_form
@fusible(own=(1,), text=(1,))
def interleave_and_quantise(own: Tensor, text: Tensor, scale: Scale, groups: int) -> Tensor:
    """`interleave`, quantised."""
    return quantise(interleave(own, text, groups), scale)
