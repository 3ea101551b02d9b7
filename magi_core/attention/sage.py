"""SageAttention, where it is installed: scores and, from version 2 on, values in 8 bits. Faster, and a little other."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from magi_core.attention.flash import Kernel, by_spans
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Span

MODULE = "sageattention"
WIDTHS = (64, 128)  # of a head
SHORT = 1024  # keys, a prompt's for one: making 8 bits of the queries takes longer than what they save here


def sage_attention(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """SageAttention's own choice of kernel; half precision on CUDA with heads it knows and keys enough, otherwise
    `sdpa`."""
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16) or q.shape[-1] not in WIDTHS:
        return sdpa(q, k, v, spans)
    if all(k1 - k0 <= SHORT for _, (k0, k1) in spans):
        return sdpa(q, k, v, spans)
    kernel: Kernel = partial(importlib.import_module(MODULE).sageattn, tensor_layout="NHD", is_causal=False)
    return by_spans(kernel, q, k, v, spans)


def installed_sage() -> bool:
    return importlib.util.find_spec(MODULE) is not None
