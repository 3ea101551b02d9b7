"""Plain PyTorch's operations: weights are where inputs are, which is the case unless a host moves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from magi_core.operations.fp8 import Fp8Linear, Fp8RowLinear
from magi_core.operations.linear_fp32 import LinearFp32
from magi_core.operations.norm import LayerNorm, LayerNorm1p
from magi_core.operations.protocol import Operations


class Plain:
    """The default `Operations`. What replaces some of them inherits the others."""

    Linear, Conv3d = nn.Linear, nn.Conv3d
    LinearFp32, LayerNorm, LayerNorm1p = LinearFp32, LayerNorm, LayerNorm1p
    Fp8Linear, Fp8RowLinear = Fp8Linear, Fp8RowLinear

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return parameter

    def held(self, modules: Iterable[nn.Module], device: torch.device) -> AbstractContextManager[None]:
        return nullcontext()

    def in_turn(self, groups: Sequence[Sequence[nn.Module]], device: torch.device) -> Iterator[None]:
        return iter([None] * len(groups))


PLAIN: Operations = Plain()
