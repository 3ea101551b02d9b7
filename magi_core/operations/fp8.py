"""Linears with float8_e4m3fn weights and bfloat16 results: those of the fp8 checkpoints, with static input scales, and
those that are made of other weights on load, with a scale for every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from magi_core.kernels.fused import Scale, quantise, quantise_rows
from magi_core.kernels.products import multiply_fp8, multiply_fp8_rows
from magi_core.operations.placed import OwnWeights


class Scales(NamedTuple):
    """What an `Fp8Linear` makes of its scales on `device`. inputs: of what comes in. product: [], of input and weight.
    made_of: the parameters, each with how often it had been written to."""

    inputs: Scale
    product: Tensor
    device: torch.device
    made_of: tuple[tuple[Tensor, int], ...]


def _written(parameter: Tensor) -> int:
    """How often it was written to, but for what was written through `data`. Of what was made in inference mode nobody
    counts it; a host makes those anew."""
    return 0 if parameter.is_inference() else parameter._version


def _stand(scales: Scales, own: Sequence[Tensor]) -> bool:
    """Whether these parameters are what `scales` were made of."""
    there = zip(own, scales.made_of, strict=True)
    return all(parameter is made and _written(parameter) == times for parameter, (made, times) in there)


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
        self._scales: Scales | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] in the dtype of `x` (values rounded to bfloat16) from `x` [..., in]."""
        return self.product(quantise(x, self.scale(x.device)), x.dtype)

    def scale(self, device: torch.device) -> Scale:
        """[in], what inputs are divided by when they are quantised."""
        return self._made_of_scales(device).inputs

    def product(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """[..., out] in `dtype` from an input [..., in] that is quantised already."""
        with self.weights(rows.device) as (weight,):
            out = multiply_fp8(rows.flatten(0, -2), weight[0], self._made_of_scales(rows.device).product)
        return out.view(*rows.shape[:-1], -1).to(dtype)

    def forget_scales(self) -> None:
        """Leave nothing on a device beside the parameters."""
        self._scales = None

    def _made_of_scales(self, device: torch.device) -> Scales:
        """Made once, and again where a parameter is another or was written to: kernels as small as these take a GPU
        longer to begin than to do."""
        by, known = self.smooth_scale if self.per_channel else self.input_scale, self._scales
        own = by, self.input_scale, self.weight_scale
        if known is None or known.device != device or not _stand(known, own):
            with torch.inference_mode(False), torch.no_grad():
                inputs = Scale.of(self.placed(by, device).flatten().clone())
                product = self.placed(self.input_scale, device)[0] * self.placed(self.weight_scale, device)[0]
            known = self._scales = Scales(inputs, product, device, tuple((p, _written(p)) for p in own))
        return known


class Fp8RowLinear(OwnWeights, nn.Module):
    """Bias-free linear with a scale for every row of the weight, made on load, and for every row of its input.

    Weights: `weight` [out, in] float8_e4m3fn, `weight_scale` [out, 1].
    """

    def __init__(self, inputs: int, outputs: int, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        weight = torch.empty(outputs, inputs, dtype=torch.float8_e4m3fn, device=device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_parameter("bias", None)
        self.weight_scale = nn.Parameter(torch.empty(outputs, 1, device=device), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] in the dtype of `x` (values rounded to bfloat16) from `x` [..., in]."""
        rows, scales = quantise_rows(x)
        return self.product(rows, scales, x.dtype)

    def product(self, rows: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
        """[..., out] in `dtype` from what `quantise_rows` made of an input."""
        scale = self.placed(self.weight_scale, rows.device)
        with self.weights(rows.device) as (weight,):
            out = multiply_fp8_rows(rows.flatten(0, -2), scales.flatten(0, -2), weight, scale)
        return out.view(*rows.shape[:-1], -1).to(dtype)


def takes_rows(layer: nn.Module) -> TypeGuard[Fp8RowLinear]:
    """As `takes_quantised`, of inputs that are quantised row by row."""
    return isinstance(layer, Fp8RowLinear) and _by_itself(layer)


def takes_quantised(layer: nn.Module) -> TypeGuard[Fp8Linear]:
    """Whether `layer` is an fp8 linear that can be given inputs which are quantised already.

    Not where something stands in its way: a host lays a LoRA beside such a layer by a `forward` of its own.
    """
    return isinstance(layer, Fp8Linear) and _by_itself(layer)


def _by_itself(layer: nn.Module) -> bool:
    watched = layer._forward_hooks or layer._forward_pre_hooks
    return "forward" not in vars(layer) and not watched
