"""From a checkpoint to a ready transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from magi_core.device import FP8, pick_device, pick_dtype
from magi_core.dit import DiT
from magi_core.kernels.fused import quantise_rows
from magi_core.operations import PLAIN, Operations
from magi_core.weights.check import check_state_dict
from magi_core.weights.contents import read_sound
from magi_core.weights.find import find_dit
from magi_core.weights.header import TensorHeader
from magi_core.weights.reader import Checkpoint, read_tensors
from magi_core.weights.recognise import choose_variant, official_config, recognise

FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def load_dit(
    model: str | Path | Checkpoint,
    *,
    variant: str = "auto",
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    operations: Operations = PLAIN,
) -> DiT:
    """The transformer alone; see `read_dit`."""
    return read_dit(model, variant=variant, device=device, dtype=dtype, operations=operations)[0]


def read_dit(
    model: str | Path | Checkpoint,
    *,
    variant: str = "auto",
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    operations: Operations = PLAIN,
    compute: torch.device | None = None,
) -> tuple[DiT, str]:
    """The transformer of the checkpoint at `model`, in evaluation mode, without gradients; the digest of its tensors.

    model: the weights' folder or file, any folder around it that holds one model, or an opened checkpoint.
    variant: "base", "distill", or "auto" (from folder names; where they do not tell, `MagiError`).
    dtype: of the blocks; see `pick_dtype`. The parameters that the reference keeps in float32 are float32 in
    any case, fp8 weights stay fp8. "fp8": what `Fp8RowLinear` takes of the blocks is brought to that on `compute`.
    compute: the device that "auto" chooses for, where it is not the one the weights go to.
    Everything is checked against the model on the meta device before any tensor is read. On the CPU, tensors
    that need no cast stay views of the mapped files, so loading takes memory only for those that do.
    A tensor with numbers that are not finite raises `MagiError` (`magi_core.weights.contents`).
    """
    checkpoint = model if isinstance(model, Checkpoint) else read_tensors(find_dit(Path(model), variant))
    config = recognise(checkpoint.headers, official_config(checkpoint.path))
    config = replace(config, distill=choose_variant(checkpoint.path, variant) == "distill")
    device = pick_device(device)
    compute, rows = compute or device, dtype == FP8
    dtype = pick_dtype(dtype, compute, sum(header.numel for header in checkpoint.headers.values()))
    dit = DiT(config, operations=operations, device="meta", dtype=dtype, fp8_rows=rows)
    expected = DiT(config, device="meta", dtype=dtype).state_dict()  # a host's layers may hold nothing until loaded
    in_rows = DiT(config, device="meta", dtype=dtype, fp8_rows=rows).state_dict().keys() - expected.keys()
    check_state_dict(
        {name: tensor.shape for name, tensor in expected.items()},
        {name: header.shape for name, header in checkpoint.headers.items()},
        checkpoint.path,
        _wrong_numbers(expected, checkpoint.headers),
    )
    scales: dict[str, Tensor] = {}

    def converted(name: str, tensor: Tensor) -> Tensor:
        if f"{name}_scale" not in in_rows:
            return tensor.to(device, expected[name].dtype)
        numbers, scale = quantise_rows(tensor.to(compute, expected[name].dtype))
        scales[f"{name}_scale"] = scale.to(device)
        return numbers.to(device)

    with torch.no_grad():
        state, digest = read_sound(checkpoint, expected, converted)
    dit.load_state_dict(state | scales, assign=True)
    return dit.eval().requires_grad_(False), digest


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
