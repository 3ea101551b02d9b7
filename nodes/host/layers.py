"""ComfyUI's layer classes for MAGI's models: a weight may wait elsewhere, and comes when its layer runs."""

from __future__ import annotations

from typing import Any

import comfy.ops
from torch import Tensor

from magi_core.dit.fp8 import Fp8Linear as CoreFp8Linear
from magi_core.kernels.fused import multiply_fp32

_plain = comfy.ops.disable_weight_init  # weights are loaded in the format that layers compute in: nothing to cast


class Linear(_plain.Linear):
    def project_fp32(self, x: Tensor) -> Tensor:
        """See `magi_core.dit.layers.project_fp32`."""
        weight, _, stream = comfy.ops.cast_bias_weight(self, x, offloadable=True)
        try:
            return multiply_fp32(x, weight)
        finally:
            comfy.ops.uncast_bias_weight(self, weight, None, stream)


class Fp8Linear(CoreFp8Linear, comfy.ops.CastWeightBiasOp):
    """The fp8 layer of quantised checkpoints, whose weight stays fp8 on its way to the device."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_parameter("bias", None)  # ComfyUI looks for it in every layer that it places

    def forward(self, x: Tensor) -> Tensor:
        comfy.ops.run_every_op()
        own = {"dtype": self.weight.dtype, "device": x.device, "bias_dtype": x.dtype}
        weight, _, stream = comfy.ops.cast_bias_weight(self, **own, offloadable=True)
        try:
            return self.multiply(x, weight)
        finally:
            comfy.ops.uncast_bias_weight(self, weight, None, stream)


class operations(_plain):  # noqa: N801 (ComfyUI's name for such a namespace)
    Linear = Linear
    Fp8Linear = Fp8Linear
