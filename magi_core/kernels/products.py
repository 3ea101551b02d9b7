"""Matrix products in the number formats of the checkpoints; each has a plain form and one for the GPU's own units."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


def multiply_fp32(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight.T` [..., out] in float32, as if both were widened first.

    On CUDA the tensor cores multiply bfloat16 exactly and accumulate in float32, which equals the reference's upcast
    matmul at a tenth of its time.
    """
    if x.is_cuda and x.dtype == weight.dtype == torch.bfloat16 and not torch.is_grad_enabled():
        return torch.mm(x.flatten(0, -2), weight.t(), out_dtype=torch.float32).view(*x.shape[:-1], -1)
    return F.linear(x.float(), weight.float())


def multiply_fp8(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """`x @ weight.T * scale` [rows, out] bfloat16 from float8_e4m3fn `x` [rows, in] and `weight` [out, in]; scale [].

    Hopper and newer GPUs multiply in fp8, by sides that are multiples of 16; elsewhere the same values are multiplied
    in float32.
    """
    if x.is_cuda and not any(side % 16 for side in weight.shape) and _has_fp8_units(x.device):
        one = _one(x.device)
        return torch._scaled_mm(x, weight.t(), scale_a=scale, scale_b=one, out_dtype=torch.bfloat16)
    return ((x.float() @ weight.float().t()) * scale).to(torch.bfloat16)


def multiply_fp8_rows(x: Tensor, x_scale: Tensor, weight: Tensor, weight_scale: Tensor) -> Tensor:
    """`(x * x_scale) @ (weight * weight_scale).T` [rows, out] bfloat16 from float8_e4m3fn `x` [rows, in] and `weight`
    [out, in], and their scales [rows, 1] and [out, 1] in float32."""
    if x.is_cuda and not any(side % 16 for side in weight.shape) and _has_fp8_units(x.device):
        if torch.cuda.get_device_capability(x.device) >= (9, 0):
            by_row, by_column = x_scale.contiguous(), weight_scale.t().contiguous()
            return torch._scaled_mm(x, weight.t(), scale_a=by_row, scale_b=by_column, out_dtype=torch.bfloat16)
        one = _one(x.device)
        out = torch._scaled_mm(x, weight.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
        return out.mul_(x_scale).mul_(weight_scale.t())
    return ((x.float() @ weight.float().t()) * x_scale * weight_scale.t()).to(torch.bfloat16)


@cache
def _one(device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones((), device=device)


@cache
def _has_fp8_units(device: torch.device) -> bool:
    """Whether a CUDA device multiplies fp8 by itself."""
    return torch.cuda.get_device_capability(device) >= (8, 9)
