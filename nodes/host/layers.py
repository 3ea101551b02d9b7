"""ComfyUI's layers for MAGI's models: a weight may wait elsewhere and be patched on its way to where its layer runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management as management
import comfy.ops
import torch
from comfy.ops import disable_weight_init as plain  # weights have the format that layers compute in: nothing to cast
from torch import Tensor

from magi_core.kernels.products import multiply_fp32
from magi_core.operations import Operations
from magi_core.operations import fp8 as core_fp8
from magi_core.operations import norm as core_norm


def placed(parameter: Tensor, device: torch.device) -> Tensor:
    return management.cast_to(parameter, device=device)


class _Fetched(comfy.ops.CastWeightBiasOp):
    """`magi_core.operations.placed.OwnWeights` through ComfyUI."""

    @contextmanager
    def weights(self, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
        comfy.ops.run_every_op()
        own = {"dtype": self.weight.dtype, "bias_dtype": None if self.bias is None else self.bias.dtype}
        weight, bias, stream = comfy.ops.cast_bias_weight(self, device=device, **own, offloadable=True)
        try:
            yield (weight,) if bias is None else (weight, bias)
        finally:
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return placed(parameter, device)


class LinearFp32(_Fetched, plain.Linear):
    """ComfyUI's linear, which holds nothing until it is loaded, with the product of magi_core's `LinearFp32`."""

    def __init__(
        self, inputs: int, outputs: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(inputs, outputs, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        with self.weights(x.device) as (weight,):
            return multiply_fp32(x, weight)


class LayerNorm(_Fetched, core_norm.LayerNorm): ...


class LayerNorm1p(_Fetched, core_norm.LayerNorm1p): ...


class Fp8Linear(_Fetched, core_fp8.Fp8Linear): ...


class ComfyOperations:
    """`magi_core.operations.Operations` of ComfyUI."""

    Linear, Conv3d = plain.Linear, plain.Conv3d
    LinearFp32, LayerNorm, LayerNorm1p, Fp8Linear = LinearFp32, LayerNorm, LayerNorm1p, Fp8Linear

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return placed(parameter, device)


COMFYUI: Operations = ComfyOperations()
