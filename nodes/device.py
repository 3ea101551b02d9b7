"""Which device ComfyUI wants a model on. The only file that asks."""

from __future__ import annotations

import comfy.model_management as management
import torch


def model_device() -> torch.device:
    return management.get_torch_device()


def vae_device() -> torch.device:
    return management.vae_device()


def text_device() -> torch.device:
    return management.text_encoder_device()
