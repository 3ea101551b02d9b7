"""Where a model works, when that is not where its weights are."""

from __future__ import annotations

import torch


class Placed:
    """Gives a module `device`: where its inputs go. That is where its first parameter is, unless a host says otherwise.

    A host that keeps weights elsewhere, and brings each to the device when its layer runs, sets it. Parameters that a
    module reads by itself follow their input (`parameter.to(x.device)`), so they may stay behind as well.
    """

    _device: torch.device | None = None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device if self._device is None else self._device

    @device.setter
    def device(self, device: torch.device) -> None:
        self._device = device
