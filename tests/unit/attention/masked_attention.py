"""Attention over spans by its definition: one masked softmax over all keys, in float64. The oracle of every backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from magi_core.attention.spans import Span


def masked_attention(q: Tensor, k: Tensor, v: Tensor, spans: Sequence[Span]) -> Tensor:
    """`magi_core.attention.spans.Attention`; float64 [S, Hq, D] on the CPU. Queries outside all spans give NaN."""
    q, k, v = (x.detach().cpu().double() for x in (q, k, v))
    seen = torch.zeros(len(q), len(k), dtype=torch.bool)
    for (q0, q1), (k0, k1) in spans:
        seen[q0:q1, k0:k1] = True
    heads, groups = q.shape[1], k.shape[1]
    out = torch.empty_like(q)
    for head in range(heads):
        group = head * groups // heads
        scores = (q[:, head] @ k[:, group].T / q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf)
        out[:, head] = scores.softmax(dim=-1) @ v[:, group]
    return out
