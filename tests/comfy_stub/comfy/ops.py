"""Stand-in for `comfy.ops`: layers whose weights are where they are needed."""

from typing import Any

from torch import nn


class CastWeightBiasOp:
    comfy_cast_weights = False


class disable_weight_init:  # noqa: N801
    Linear, LayerNorm, Conv3d = nn.Linear, nn.LayerNorm, nn.Conv3d


manual_cast = disable_weight_init


def run_every_op() -> None: ...


def cast_bias_weight(layer: nn.Module, *args: Any, **options: Any) -> tuple[Any, Any, None]:
    return layer.weight, layer.bias, None


def uncast_bias_weight(layer: nn.Module, weight: Any, bias: Any, stream: None) -> None: ...
