"""Linears of the fp8 checkpoints: float8_e4m3fn weights, static input scales, bfloat16 results."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from magi_core.kernels.fused import quantise
from magi_core.kernels.products import multiply_fp8
from magi_core.operations.placed import OwnWeights


class Fp8Linear(OwnWeights, nn.Module):
    """Bias-free linear with a static input scale per tensor, or per channel where a smoothing vector is stored.

    Weights: `weight` [1, out, in] float8_e4m3fn, `weight_scale` [1]; per tensor `input_scale` [in] (a value repeated),
    per channel `input_scale` [1] and `smooth_scale` [1, in] = smoothing * input scale. Source: reference README 2.7.
    """

    def __init__(
        self, inputs: int, outputs: int, *, per_channel: bool, device: torch.device | str | None = None
    ) -> None:
        super().__init__()
        self.per_channel = per_channel

        def frozen(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape, dtype=dtype, device=device), requires_grad=False)

        self.weight = frozen(1, outputs, inputs, dtype=torch.float8_e4m3fn)
        self.register_parameter("bias", None)
        self.weight_scale, self.input_scale = frozen(1), frozen(1 if per_channel else inputs)
        if per_channel:
            self.smooth_scale = frozen(1, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] in the dtype of `x` (values rounded to bfloat16) from `x` [..., in]."""
        return self.product(quantise(x, self.scale(x.device)), x.dtype)

    def scale(self, device: torch.device) -> Tensor:
        """[in], what inputs are divided by when they are quantised."""
        return self.placed(self.smooth_scale[0] if self.per_channel else self.input_scale, device)

    def product(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """[..., out] in `dtype` from an input [..., in] that is quantised already."""
        scale = self.placed(self.input_scale, rows.device)[:1] * self.placed(self.weight_scale, rows.device)
        with self.weights(rows.device) as (weight,):
            out = multiply_fp8(rows.flatten(0, -2), weight[0], scale)
        return out.view(*rows.shape[:-1], -1).to(dtype)


def takes_quantised(layer: nn.Module) -> TypeGuard[Fp8Linear]:
    """Whether `layer` is an fp8 linear that can be given inputs which are quantised already.

    Not where something stands in its way: a host lays a LoRA beside such a layer by a `forward` of its own.
    """
    watched = layer._forward_hooks or layer._forward_pre_hooks
    return isinstance(layer, Fp8Linear) and "forward" not in vars(layer) and not watched
