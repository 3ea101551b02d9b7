"""Linears of the fp8 checkpoints: float8_e4m3fn weights, static input scales, bfloat16 results."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from magi_core.kernels.fused import quantise


class Fp8Linear(nn.Module):
    """Bias-free linear with a static input scale per tensor, or per channel where a smoothing vector is stored.

    Weights: `weight` [1, out, in] float8_e4m3fn, `weight_scale` [1]; per tensor `input_scale` [in] (a value repeated),
    per channel `input_scale` [1] and `smooth_scale` [1, in] = smoothing * input scale. Source: reference README 2.7.
    Hopper and newer GPUs multiply in fp8; elsewhere the same rounded values are multiplied in float32.
    """

    def __init__(self, in_features: int, out_features: int, *, per_channel: bool, device: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        fp32 = {"dtype": torch.float32, "device": device}
        self.weight = nn.Parameter(
            torch.empty(1, out_features, in_features, dtype=torch.float8_e4m3fn, device=device), requires_grad=False
        )
        self.weight_scale = nn.Parameter(torch.empty(1, **fp32), requires_grad=False)
        self.input_scale = nn.Parameter(torch.empty(1 if per_channel else in_features, **fp32), requires_grad=False)
        if per_channel:
            self.smooth_scale = nn.Parameter(torch.empty(1, in_features, **fp32), requires_grad=False)
        self.per_channel = per_channel

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] in the dtype of `x` (values rounded to bfloat16) from `x` [..., in]."""
        return self.multiply(x, self.weight)

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """`forward` with `weight` given, on the device of `x`; scales follow it there."""
        scales = (self.smooth_scale if self.per_channel else self.input_scale).to(x.device)
        rows = quantise(x, scales).flatten(0, -2)
        scale = (self.input_scale[:1] * self.weight_scale).to(x.device)
        if rows.is_cuda and self.in_features % 16 == 0 and self.out_features % 16 == 0 and _has_fp8_units(rows.device):
            out = torch._scaled_mm(
                rows,
                weight[0].t(),
                scale_a=scale[0],
                scale_b=torch.ones_like(scale[0]),
                out_dtype=torch.bfloat16,
            )
        else:
            out = ((rows.float() @ weight[0].float().t()) * scale).to(torch.bfloat16)
        return out.view(*x.shape[:-1], self.out_features).to(x.dtype)


def _has_fp8_units(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 9)
