"""ComfyUI's layers for MAGI's models: a weight may wait elsewhere and be patched on its way to where its layer runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import comfy.model_management as management
import comfy.ops
import torch
import torch.nn.functional as F
from comfy.ops import disable_weight_init as plain  # weights have the format that layers compute in: nothing to cast
from torch import Tensor, nn

from magi_core.kernels.products import multiply_fp32
from magi_core.operations import Operations
from magi_core.operations import fp8 as core_fp8
from magi_core.operations import norm as core_norm


def placed(parameter: Tensor, device: torch.device) -> Tensor:
    return management.cast_to(parameter, device=device)


class _Fetched(comfy.ops.CastWeightBiasOp):
    """`magi_core.operations.placed.OwnWeights` through ComfyUI."""

    _held: tuple[Tensor, ...] | None = None

    @contextmanager
    def held(self, device: torch.device) -> Iterator[None]:
        """Fetch the weights once for all uses until the context is left."""
        with self.weights(device) as fetched:
            own = {parameter.data_ptr() for parameter in (self.weight, self.bias) if parameter is not None}
            # what is not the layer's own may lie in a buffer that the next layer's weights are fetched to
            held = tuple(tensor if tensor.data_ptr() in own else tensor.clone() for tensor in fetched)
        self._held = held
        try:
            yield
        finally:
            self._held = None

    @contextmanager
    def weights(self, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
        if self._held is not None:
            yield self._held
            return
        comfy.ops.run_every_op()
        own = {"dtype": self.weight.dtype, "bias_dtype": None if self.bias is None else self.bias.dtype}
        weight, bias, stream = comfy.ops.cast_bias_weight(self, device=device, **own, offloadable=True)
        try:
            yield (weight,) if bias is None else (weight, bias)
        finally:
            comfy.ops.uncast_bias_weight(self, weight, bias, stream)

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return placed(parameter, device)


class Linear(_Fetched, plain.Linear):
    """ComfyUI's linear; where its weights are held, with those."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self._held is None else F.linear(x, *self._held)


class LinearFp32(_Fetched, plain.Linear):
    """ComfyUI's linear, which holds nothing until it is loaded, with the product of magi_core's `LinearFp32`."""

    def __init__(
        self, inputs: int, outputs: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(inputs, outputs, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        with self.weights(x.device) as (weight,):
            return multiply_fp32(x, weight)


class LayerNorm(_Fetched, core_norm.LayerNorm): ...  # type: ignore[misc]  # a parameter is a tensor


class LayerNorm1p(_Fetched, core_norm.LayerNorm1p): ...


class Fp8Linear(_Fetched, core_fp8.Fp8Linear): ...


class Fp8RowLinear(_Fetched, core_fp8.Fp8RowLinear): ...


class ComfyOperations:
    """`magi_core.operations.Operations` of ComfyUI."""

    Linear, Conv3d = Linear, plain.Conv3d
    LinearFp32, LayerNorm, LayerNorm1p = LinearFp32, LayerNorm, LayerNorm1p
    Fp8Linear, Fp8RowLinear = Fp8Linear, Fp8RowLinear

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return placed(parameter, device)

    @contextmanager
    def held(self, modules: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
        with ExitStack() as stack:
            for module in modules:
                for layer in module.modules():
                    if isinstance(layer, _Fetched):
                        stack.enter_context(layer.held(device))
            yield

    def in_turn(self, groups: Sequence[Sequence[nn.Module]], device: torch.device) -> Iterator[None]:
        return iter([None] * len(groups))  # each layer fetches its own


COMFYUI: Operations = ComfyOperations()
