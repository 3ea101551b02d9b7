"""Attention as ComfyUI computes it: the user's choice at start (sage, flash, PyTorch), and overrides by other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
import comfy.model_management as management
import torch
from torch import Tensor

from magi_core.attention.choose import get_attention
from magi_core.attention.sage import HALF, sage_bytes
from magi_core.attention.spans import Attention, Span, is_whole

from .patcher import Patcher

CHOICES = ("auto", "sdpa", "flash_attn")


class ComfyAttention:
    """A `magi_core.attention.spans.Attention`; `patcher.model_options` may name an override."""

    def __init__(self, patcher: Patcher) -> None:
        self.patcher = patcher

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
        attend, whole = _chosen(q.device), is_whole(spans, len(q))
        out = q if whole else torch.empty_like(q)
        options: dict[str, Any] = {
            "skip_reshape": True,
            "skip_output_reshape": True,
            "transformer_options": self.patcher.model_options["transformer_options"],
        }
        if q.shape[1] != k.shape[1]:
            options["enable_gqa"] = True
        for (q0, q1), (k0, k1) in spans:
            block = [x.transpose(0, 1)[None] for x in (q[q0:q1], k[k0:k1], v[k0:k1])]
            made = attend(*block, q.shape[1], **options)[0].transpose(0, 1).to(q.dtype)  # overrides may widen
            if whole:
                return made
            out[q0:q1] = made
        return out

    def kept_bytes(self, queries: int, keys: int, heads: int, groups: int, width: int) -> int:
        """As `magi_core.attention.choose.kept_bytes` has it: sage as ComfyUI calls it, with keys and values for every
        head. An override may keep other things, which nobody knows."""
        if comfy_attention.optimized_attention not in _sages():
            return 0
        repeated = 2 * keys * heads * width * HALF if heads != groups else 0
        return repeated + sage_bytes(queries, keys, heads, heads, width)


def attention_for(choice: str, patcher: Patcher) -> Attention:
    """ "auto" is ComfyUI's own; otherwise one of magi_core's by name."""
    return ComfyAttention(patcher) if choice == "auto" else get_attention(choice, patcher.load_device)


def _sages() -> list[Any]:
    return [getattr(comfy_attention, name, None) for name in ("attention_sage", "attention3_sage")]


def _chosen(device: torch.device) -> Any:
    """On the CPU ComfyUI falls back to a way that spares memory and takes twice the time, unless one was asked for."""
    chosen = comfy_attention.optimized_attention
    fallback = chosen is comfy_attention.attention_sub_quad and not management.args.use_quad_cross_attention
    return comfy_attention.attention_pytorch if fallback and device.type == "cpu" else chosen
