"""Which device and number format a model works in."""

from __future__ import annotations

import torch

from magi_core.errors import MagiError, echo

SMALL_MODEL = 1_000_000_000  # parameters; below, float32 on the CPU costs little and gains accuracy
FP32 = torch.float32.itemsize  # bytes

FP8 = "fp8"
DTYPES = {"fp32": torch.float32, "float32": torch.float32, "bf16": torch.bfloat16, "bfloat16": torch.bfloat16}


def pick_device(device: torch.device | str = "auto") -> torch.device:
    """The device named, or for "auto" the first CUDA (or ROCm) GPU, else Apple's, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError:
            raise MagiError(f"unknown device {echo(device)}: use 'auto', 'cpu', 'cuda' or 'cuda:1'") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(dtype: torch.dtype | str, device: torch.device, parameters: int) -> torch.dtype:
    """The dtype named, or for "auto" bfloat16, as the reference runs; small models on the CPU float32. For "fp8", which
    is of a transformer's large linears alone, the same as for "auto".

    parameters: size of the model. A large one stays bfloat16 on the CPU too: float32 would double its memory.
    """
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if dtype in ("auto", FP8):
        return torch.float32 if device.type == "cpu" and parameters < SMALL_MODEL else torch.bfloat16
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    raise MagiError(f"unknown number format {dtype}: use 'auto', 'bf16', 'fp32' or 'fp8'")
