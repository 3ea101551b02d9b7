"""Keeping the memory of a long run in order: what stays apart from what passes, and what is freed given back."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import weakref
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SMALL = 1 << 14  # bytes below which a place of its own wastes more than it saves
ALIGNMENT = 256  # bytes; of every tensor in a block


def settled(tensor: Tensor) -> Tensor:
    """`tensor` on the CPU, in memory of its own from the system: for what stays while much else comes and goes.

    Tensors that stay in malloc's heap lie between large passing ones, and the holes around them make the peak of a long
    run grow. A copy, except of small and empty tensors.
    """
    tensor = tensor.detach()
    if tensor.nbytes < SMALL:
        return tensor.cpu()
    place = torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype).view(tensor.shape)
    return place.copy_(tensor)


def return_freed_memory() -> None:
    """Hand back what malloc was given back and keeps for later. Does nothing where the C library is not glibc.

    Long runs need it: the latents that stay lie between large passing buffers, whose places glibc keeps, so that the
    resident size of a process grows by far more than it holds. Takes milliseconds. Source: malloc_trim(3).
    """
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    try:
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "malloc_trim") else None
    except OSError:
        return None


@cache
def physical_memory() -> int | None:
    """Bytes of main memory that this process can have, used or free; None where the system does not tell.

    Linux: what the machine has, or the limit of the control group (memory.max) where that is lower.
    """
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return there
    return min(there, limit)


@dataclass(frozen=True, eq=False)
class Place:
    """`block` [bytes] uint8 of main memory, whose owner may use it anew when nobody holds this any more."""

    block: Tensor


def aligned(nbytes: int) -> int:
    """Bytes that a tensor of `nbytes` takes in a block."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def page_locked(nbytes: int) -> Tensor:
    """Bytes that a GPU copies to and from by itself, exactly as many as asked for; PyTorch's own allocator rounds up to
    a power of two. Expensive to get.

    They are touched first: locking memory that is not there yet takes as long, and holds up every launch meanwhile.
    Raises `RuntimeError` or `OSError` where the system gives none; a GPU goes on working then.
    """
    place = mmap.mmap(-1, nbytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            place.madvise(mmap.MADV_HUGEPAGE)
    block = torch.frombuffer(place, dtype=torch.uint8)
    block[:: mmap.PAGESIZE] = 0
    runtime, address = torch.cuda.cudart(), block.data_ptr()
    refused = int(runtime.cudaHostRegister(address, nbytes, 0))
    if refused:
        _take_back_last_error()
        torch.cuda.check_error(refused)
    weakref.finalize(block, runtime.cudaHostUnregister, address)
    return block


def _take_back_last_error() -> None:
    """CUDA keeps what a call answered, and PyTorch would hear it from the next kernel that it launches."""
    with contextlib.suppress(RuntimeError):
        torch.empty(1, device="cuda").zero_()


def available_memory() -> int | None:
    """Bytes of main memory that this process can still have without others giving way; None where the system does not
    tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    there = physical_memory()
    return free if there is None else min(free, there)
