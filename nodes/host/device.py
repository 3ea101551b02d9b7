"""Which devices ComfyUI wants a model on: where it works, and where its weights wait. The only file that asks."""

from __future__ import annotations

from typing import NamedTuple

import comfy.model_management as management
import torch


class Devices(NamedTuple):
    """load: where the model works. offload: where its weights are otherwise."""

    load: torch.device
    offload: torch.device


def model_devices() -> Devices:
    return Devices(management.get_torch_device(), management.unet_offload_device())


def vae_devices() -> Devices:
    return Devices(management.vae_device(), management.vae_offload_device())


def text_devices() -> Devices:
    return Devices(management.text_encoder_device(), management.text_encoder_offload_device())
