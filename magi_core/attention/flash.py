"""flash-attn, in whichever generation is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Span
from magi_core.errors import MagiError


def flash_attention(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """flash-attn 4, 3 or 2, whichever is installed (newest first); half precision on CUDA, otherwise `sdpa`."""
    kernel = _flash_kernel()
    if kernel is None:
        raise MagiError("flash-attn is not installed: pip install flash-attn, or choose attention 'sdpa' or 'auto'")
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16):
        return sdpa(q, k, v, spans)
    out = torch.empty_like(q)
    for (q0, q1), (k0, k1) in spans:
        result = kernel(q[None, q0:q1], k[None, k0:k1], v[None, k0:k1])
        out[q0:q1] = (result[0] if isinstance(result, tuple) else result)[0]
    return out


def installed_flash() -> str | None:
    """Name and generation of the installed flash-attn package, newest first, or None."""
    for module, name in (("flash_attn.cute", "flash-attn 4"), ("flash_attn_interface", "flash-attn 3")):
        if _importable(module):
            return name
    return "flash-attn 2" if _importable("flash_attn.flash_attn_interface") else None


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _flash_kernel() -> Callable | None:
    generation = installed_flash()
    if generation == "flash-attn 4":
        from flash_attn.cute import flash_attn_func
    elif generation == "flash-attn 3":
        from flash_attn_interface import flash_attn_func
    elif generation == "flash-attn 2":
        from flash_attn import flash_attn_func
    else:
        return None
    return flash_attn_func
