"""How much of a GPU a process may take, in bytes of tensors."""

from __future__ import annotations

import torch

from magi_core.errors import MagiError, echo

GB = 10**9
OF_THE_DRIVER = 700_000_000  # bytes that a process takes on a GPU beside tensors: context, kernels
HOLES = 150_000_000  # bytes between tensors that nothing fits
LEAST_GB, MOST_GB = 2, 1024


def allowed_bytes(vram: float) -> int:
    """Bytes of tensors for a process that may take `vram` GB (10^9 bytes) of a GPU; `MagiError` for other numbers."""
    if not isinstance(vram, int | float) or not LEAST_GB <= vram <= MOST_GB:
        raise MagiError(f"a GPU's memory to keep to is a number of GB from {LEAST_GB} to {MOST_GB}: {echo(vram)}")
    return int(vram * GB) - OF_THE_DRIVER - HOLES


def free_bytes(device: torch.device) -> int:
    """Bytes of tensors that `device` has room for now, those of this process included; its context is there already."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - OF_THE_DRIVER // 2 - HOLES


def allowed_on(device: torch.device, vram: float | None) -> int | None:
    """Bytes of tensors that may be on `device`: within `vram` GB, or what is free. None where it is no GPU.

    Raises `MagiError` for a budget where there is no GPU, and as `allowed_bytes`.
    """
    if device.type == "cuda":
        return free_bytes(device) if vram is None else allowed_bytes(vram)
    if vram is not None:
        raise MagiError(f"the model runs on {device.type}, which has no GPU's memory to keep to: leave vram out")
    return None
