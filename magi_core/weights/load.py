"""From a checkpoint to a ready transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from magi_core.dit import DiT
from magi_core.errors import MagiError
from magi_core.weights.check import check_state_dict
from magi_core.weights.find import find_dit
from magi_core.weights.header import TensorHeader
from magi_core.weights.reader import Checkpoint, read_tensors
from magi_core.weights.recognise import choose_variant, official_config, recognise

SMALL_MODEL = 1_000_000_000  # parameters; below, float32 on the CPU costs little and gains accuracy
FLOATS = (torch.float32, torch.bfloat16, torch.float16)
DTYPES = {"fp32": torch.float32, "float32": torch.float32, "bf16": torch.bfloat16, "bfloat16": torch.bfloat16}


def load_dit(
    model: str | Path | Checkpoint,
    *,
    variant: str = "auto",
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    operations: ModuleType | Any = nn,
) -> DiT:
    """The transformer of the checkpoint at `model`, in evaluation mode, without gradients.

    model: the weights' folder or file, any folder around it that holds one model, or an opened checkpoint.
    variant: "base", "distill", or "auto" (from folder names; where they do not tell, `MagiError`).
    dtype: of the blocks; see `pick_dtype`. The parameters that the reference keeps in float32 are float32 in
    any case, fp8 weights stay fp8.
    Everything is checked against the model on the meta device before any tensor is read. On the CPU, tensors
    that need no cast stay views of the mapped files, so loading takes memory only for those that do.
    """
    checkpoint = model if isinstance(model, Checkpoint) else read_tensors(find_dit(Path(model), variant))
    config = recognise(checkpoint.headers, official_config(checkpoint.path))
    config = replace(config, distill=choose_variant(checkpoint.path, variant) == "distill")
    device = pick_device(device)
    dtype = pick_dtype(dtype, device, sum(header.numel for header in checkpoint.headers.values()))
    dit = DiT(config, operations=operations, device="meta", dtype=dtype)
    expected = DiT(config, device="meta", dtype=dtype).state_dict()  # a host's layers may hold nothing until loaded
    check_state_dict(
        {name: tensor.shape for name, tensor in expected.items()},
        {name: header.shape for name, header in checkpoint.headers.items()},
        checkpoint.path,
        _wrong_numbers(expected, checkpoint.headers),
    )
    state = {name: checkpoint[name].to(device, tensor.dtype) for name, tensor in expected.items()}
    dit.load_state_dict(state, assign=True)
    return dit.eval().requires_grad_(False)


def pick_device(device: torch.device | str = "auto") -> torch.device:
    """The device named, or for "auto" the first CUDA (or ROCm) GPU, else Apple's, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError:
            raise MagiError(f"unknown device {device!r}: use 'auto', 'cpu', 'cuda' or 'cuda:1'") from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(dtype: torch.dtype | str, device: torch.device, parameters: int) -> torch.dtype:
    """The dtype named, or for "auto" bfloat16, as the reference runs; small models on the CPU float32.

    parameters: size of the model. A large one stays bfloat16 on the CPU too: float32 would double its memory.
    """
    if isinstance(dtype, torch.dtype) and dtype in DTYPES.values():
        return dtype
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" and parameters < SMALL_MODEL else torch.bfloat16
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    raise MagiError(f"unknown number format {dtype}: use 'auto', 'bf16' or 'fp32'")


def _wrong_numbers(expected: dict[str, Tensor], found: dict[str, TensorHeader]) -> list[str]:
    """Tensors in a format that no cast makes right: fp8 where it is not expected, or the other way round."""
    faults = []
    for name, tensor in expected.items():
        if name in found:
            allowed = FLOATS if tensor.dtype in FLOATS else (tensor.dtype,)
            if found[name].dtype not in allowed:
                faults.append(f"{name} is {_plain(found[name].dtype)}, expected {_plain(tensor.dtype)}")
    return faults


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
