"""The attention output projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magi_core.kernels.products import multiply_fp32
from magi_core.operations.placed import OwnWeights


class LinearFp32(OwnWeights, nn.Linear):
    """Linear without bias whose result is float32, from exact products, whatever the dtypes of input and weight."""

    def __init__(
        self, inputs: int, outputs: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(inputs, outputs, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        with self.weights(x.device) as (weight,):
            return multiply_fp32(x, weight)
