"""Where a model's inputs go, and how a layer gets at its own weights, also where a host keeps those elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class Placed(nn.Module):
    """A model with a `device`: where its inputs go. That is where its first parameter is, unless a host says otherwise.

    A host that keeps weights elsewhere sets it, as ComfyUI does with every model that it loads.
    """

    _device: torch.device | None = None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device if self._device is None else self._device

    @device.setter
    def device(self, device: torch.device | None) -> None:
        self._device = device


class OwnWeights:
    """A layer's way to its own parameters: they are where they are needed. A host's layers override both methods."""

    weight: Tensor
    bias: Any  # a tensor or None; PyTorch's own layers say only the first

    def weights(self, device: torch.device) -> AbstractContextManager[tuple[Tensor, ...]]:
        """`weight`, and `bias` if the layer has one, on `device` in their own dtypes until the context is left."""
        return nullcontext((self.weight,) if self.bias is None else (self.weight, self.bias))

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        """Any other parameter of the layer; see `Operations.placed`."""
        return parameter
