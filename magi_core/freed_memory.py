"""Giving freed memory back to the system between chunks."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


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
