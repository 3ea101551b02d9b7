"""What models ask of whoever brings their layers and holds their weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn

from magi_core.operations.norm import LayerNorm, LayerNorm1p

Device = torch.device | str | None
Size = int | tuple[int, int, int]


class Operations(Protocol):
    """Makes the layers of the transformer and the VAE, and brings the parameters that their modules read themselves.

    Parameters have the names and shapes of `Plain`'s layers, so that every checkpoint fits; a layer may hold none until
    they are loaded. A layer works on the device of its input, wherever its weights wait. Nothing else in a model asks
    where weights are; where inputs go, the model's `device` says (`Placed`).
    """

    def Linear(
        self,
        inputs: int,
        outputs: int,
        /,
        bias: bool = True,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """[..., outputs] from [..., inputs]."""
        ...

    def LinearFp32(
        self, inputs: int, outputs: int, /, *, device: Device = None, dtype: torch.dtype | None = None
    ) -> nn.Module:
        """float32 [..., outputs] from [..., inputs], without bias: exact products, summed in float32."""
        ...

    def Fp8Linear(self, inputs: int, outputs: int, /, *, per_channel: bool, device: Device = None) -> nn.Module:
        """See `magi_core.operations.fp8.Fp8Linear`."""
        ...

    def Fp8RowLinear(self, inputs: int, outputs: int, /, *, device: Device = None) -> nn.Module:
        """See `magi_core.operations.fp8.Fp8RowLinear`."""
        ...

    def LayerNorm(
        self, size: int, /, eps: float = 1e-5, *, device: Device = None, dtype: torch.dtype | None = None
    ) -> LayerNorm:
        """See `magi_core.operations.norm.LayerNorm`."""
        ...

    def LayerNorm1p(
        self, size: int, /, eps: float, *, device: Device = None, dtype: torch.dtype | None = None
    ) -> LayerNorm1p:
        """See `magi_core.operations.norm.LayerNorm1p`."""
        ...

    def Conv3d(
        self,
        inputs: int,
        outputs: int,
        /,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        *,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """[B, outputs, t, h, w] from [B, inputs, T, H, W]."""
        ...

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        """A parameter that a module reads by itself (bands, positions, null text), on `device`, in its own dtype."""
        ...

    def held(self, modules: Iterable[nn.Module], device: torch.device) -> AbstractContextManager[None]:
        """Around several uses of the layers in `modules`: weights that wait elsewhere are fetched once for all."""
        ...

    def in_turn(self, groups: Sequence[Sequence[nn.Module]], device: torch.device) -> Iterator[None]:
        """One step for each of `groups`, in order: its layers are used on `device` between this step and the next.
        Weights that wait elsewhere come and go with that."""
        ...
