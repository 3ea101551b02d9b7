"""Stand-in for `comfy.model_patcher`: a patcher that remembers what is asked of it."""

import copy
import uuid
from typing import Any

import torch
from torch import nn


class CoreModelPatcher:
    def __init__(self, model: nn.Module, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.callbacks: dict[str, Any] = {}
        self.injections: dict[str, Any] = {}
        self.patches: dict[str, list[Any]] = {}
        self.patches_uuid = uuid.uuid4()

    def add_callback(self, kind: str, callback: Any) -> None:
        self.callbacks[kind] = callback

    def model_size(self) -> int:
        return sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def loaded_size(self) -> int:
        return self.model_size()

    def clone(self) -> "CoreModelPatcher":
        return copy.copy(self)
