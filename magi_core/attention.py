"""Attention backends behind one function: a list of (query range, key range) over packed tokens.

Chunk-causal attention never needs a mask: every chunk attends to one contiguous run of keys without masking inside,
so a window of chunks is a short list of dense calls. Hosts bring their own backend by passing any `Attention`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from magi_core.errors import MagiError

Span = tuple[tuple[int, int], tuple[int, int]]
Attention = Callable[[Tensor, Tensor, Tensor, Sequence[Span]], Tensor]
"""`(q [S, Hq, D], k [K, Hkv, D], v [K, Hkv, D], spans) -> [S, Hq, D]`; query head h reads group h // (Hq / Hkv)."""


def sdpa(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """PyTorch's scaled dot product attention, one dense call per span."""
    grouped = q.shape[1] != k.shape[1]
    out = torch.empty_like(q)
    for (q0, q1), (k0, k1) in spans:
        block = F.scaled_dot_product_attention(
            q[q0:q1].transpose(0, 1)[None],
            k[k0:k1].transpose(0, 1)[None],
            v[k0:k1].transpose(0, 1)[None],
            enable_gqa=grouped,
        )
        out[q0:q1] = block[0].transpose(0, 1)
    return out


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


def get_attention(name: str = "auto", device: torch.device | str = "cpu") -> Attention:
    """The backend called `name`: "sdpa", "flash_attn", or "auto" (flash-attn on CUDA where installed, else sdpa)."""
    if name == "sdpa":
        return sdpa
    if name == "flash_attn":
        if installed_flash() is None:
            raise MagiError("flash-attn is not installed: pip install flash-attn, or choose attention 'sdpa' or 'auto'")
        return flash_attention
    if name == "auto":
        return flash_attention if torch.device(device).type == "cuda" and installed_flash() else sdpa
    raise MagiError(f"unknown attention backend {name!r}: use 'auto', 'sdpa' or 'flash_attn'")


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
