"""SageAttention, where it is installed: scores and, from version 2 on, values in 8 bits. Faster, and a little other.

Its own kernels run on CUDA's default stream, whichever is current. So all of a call does, and streams wait.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from magi_core.attention.flash import Kernel, by_spans
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Span
from magi_core.errors import MagiError, echo

MODULE = "sageattention"
WIDTHS = (64, 128)  # of a head
BUILT = {(8, 0): "SM80_ENABLED", (8, 9): "SM89_ENABLED", (9, 0): "SM90_ENABLED", (12, 0): "SM89_ENABLED"}
"""Compute capability -> what the package says of its kernels for it. It builds those of the machine it is built on."""
HALF, INT8, FP8 = 2, 1, 1  # bytes
BLOCK = 128  # keys that values are padded to
SCALES = 2  # bytes for each row of a head: one number for some rows
SHORT = 1024  # keys, a prompt's for one: making 8 bits of the queries takes longer than what they save here


def sage_attention(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """SageAttention's own choice of kernel; half precision on CUDA with heads it knows and keys enough, otherwise
    `sdpa`."""
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16) or q.shape[-1] not in WIDTHS:
        return sdpa(q, k, v, spans)
    if all(k1 - k0 <= SHORT for _, (k0, k1) in spans):
        return sdpa(q, k, v, spans)
    kernel: Kernel = partial(importlib.import_module(MODULE).sageattn, tensor_layout="NHD", is_causal=False)
    with _on_the_default_stream(q.device) as current:
        try:
            out = by_spans(kernel, q, k, v, spans)
        except (AssertionError, ValueError) as error:
            raise _unbuilt(echo(error, quoted=False)) from error
        if current is not None:
            out.record_stream(current)
    return out


@contextmanager
def _on_the_default_stream(device: torch.device) -> Iterator[torch.cuda.Stream | None]:
    """What is queued within follows what is queued on the current stream, and the other way round afterwards. Yields
    that stream, where it is another than the default one."""
    current, default = torch.cuda.current_stream(device), torch.cuda.default_stream(device)
    if current == default:
        yield None
        return
    default.wait_stream(current)
    with torch.cuda.stream(default):
        yield current
    current.wait_stream(default)


def sage_bytes(queries: int, keys: int, heads: int, groups: int, width: int) -> int:
    """Bytes that one call keeps beside what it is given and what it gives, at its widest: as it makes values in fp8.

    Counted from version 2's kernels for Hopper, which keep the most: queries and keys in 8 bits with their scales,
    values padded, the same transposed, and those in 8 bits.
    """
    if keys <= SHORT or width not in WIDTHS:
        return 0
    padded = -(-keys // BLOCK) * BLOCK
    scores = (queries * heads + keys * groups) * (width * INT8 + SCALES)
    return scores + padded * groups * width * (2 * HALF + FP8)


def check_sage(device: torch.device) -> None:
    """Raise `MagiError` where the package was built without kernels for this GPU."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return
    major, minor = torch.cuda.get_device_capability(device)
    if not getattr(importlib.import_module(f"{MODULE}.core"), BUILT.get((major, minor), ""), True):
        raise _unbuilt(f"compute capability {major}.{minor}")


def _unbuilt(reason: str) -> MagiError:
    return MagiError(
        f"SageAttention is installed without kernels for this GPU ({reason}): build it on this machine, with nvcc of "
        "the CUDA that PyTorch was built for: pip install --no-build-isolation "
        "git+https://github.com/thu-ml/SageAttention, or choose attention 'auto'"
    )


def installed_sage() -> bool:
    return importlib.util.find_spec(MODULE) is not None
