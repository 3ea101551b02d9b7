"""PyTorch's scaled dot product attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from magi_core.attention.spans import Span, is_whole


def sdpa(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """PyTorch's scaled dot product attention, one dense call per span."""
    grouped, whole = q.shape[1] != k.shape[1], is_whole(spans, q.shape[0])
    out = q if whole else torch.empty_like(q)
    for (q0, q1), (k0, k1) in spans:
        block = F.scaled_dot_product_attention(
            q[q0:q1].transpose(0, 1)[None],
            k[k0:k1].transpose(0, 1)[None],
            v[k0:k1].transpose(0, 1)[None],
            enable_gqa=grouped,
        )
        if whole:
            return block[0].transpose(0, 1)
        out[q0:q1] = block[0].transpose(0, 1)
    return out
