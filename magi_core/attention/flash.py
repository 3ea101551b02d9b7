"""flash-attn, in whichever generation is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Span, is_whole
from magi_core.errors import MagiError

Kernel = Callable[[Tensor, Tensor, Tensor], Any]
"""`(q [B, S, Hq, D], k [B, K, Hkv, D], v like k)` -> [B, S, Hq, D], in some generations first of a tuple."""

GENERATIONS = {
    "flash_attn.cute": "flash-attn 4",
    "flash_attn_interface": "flash-attn 3",
    "flash_attn.flash_attn_interface": "flash-attn 2",
}
"""Module that holds `flash_attn_func` -> what it is called, newest first."""


def flash_attention(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """flash-attn 4, 3 or 2, whichever is installed (newest first); half precision on CUDA, otherwise `sdpa`."""
    kernel = _flash_kernel()
    if kernel is None:
        raise MagiError("flash-attn is not installed: pip install flash-attn, or choose attention 'sdpa' or 'auto'")
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16):
        return sdpa(q, k, v, spans)
    return by_spans(kernel, q, k, v, spans)


def by_spans(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """One dense call of flash-attn's function per span."""
    whole = is_whole(spans, len(q))
    out = q if whole else torch.empty_like(q)
    for (q0, q1), (k0, k1) in spans:
        result = kernel(q[None, q0:q1], k[None, k0:k1], v[None, k0:k1])
        block = (result[0] if isinstance(result, tuple) else result)[0].to(q.dtype)
        if whole:
            return block
        out[q0:q1] = block
    return out


def installed_flash() -> str | None:
    """Name and generation of the installed flash-attn package, newest first, or None."""
    return next((name for module, name in GENERATIONS.items() if _importable(module)), None)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _flash_kernel() -> Kernel | None:
    installed = installed_flash()
    module = next((module for module, name in GENERATIONS.items() if name == installed), None)
    return importlib.import_module(module).flash_attn_func if module else None
