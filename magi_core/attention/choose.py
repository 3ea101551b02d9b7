"""A backend by its name."""

from __future__ import annotations

import torch

from magi_core.attention.flash import flash_attention, installed_flash
from magi_core.attention.sage import installed_sage, sage_attention
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention
from magi_core.errors import MagiError, echo


def get_attention(name: str = "auto", device: torch.device | str = "cpu") -> Attention:
    """The backend called `name`: "sdpa", "flash_attn", "sage" (in 8 bits), or "auto" (flash-attn on CUDA where
    installed, else sdpa)."""
    if name == "sdpa":
        return sdpa
    if name == "flash_attn":
        if installed_flash() is None:
            raise MagiError("flash-attn is not installed: pip install flash-attn, or choose attention 'sdpa' or 'auto'")
        return flash_attention
    if name == "sage":
        if not installed_sage():
            raise MagiError(
                "SageAttention is not installed: pip install --no-build-isolation "
                "git+https://github.com/thu-ml/SageAttention (PyPI's version 1 is slower than PyTorch's own), "
                "or choose attention 'auto'"
            )
        return sage_attention
    if name == "auto":
        return flash_attention if torch.device(device).type == "cuda" and installed_flash() else sdpa
    raise MagiError(f"unknown attention backend {echo(name)}: use 'auto', 'sdpa', 'flash_attn' or 'sage'")
