"""Self-attention over six slots of a training batch, every slot over its own run of slots: FlexAttention or
plain SDPA."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128


def everything(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Mask inside a visited block: ranges end at block borders, so nothing is hidden there."""
    return query >= 0


@torch.no_grad()
def flex_mask(first_key: Tensor, slot_tokens: int) -> Any:
    """FlexAttention's list of blocks to visit; `slot_tokens` is a multiple of 128. first_key: [B, slots]."""
    from torch.nn.attention.flex_attention import BlockMask

    per = slot_tokens // BLOCK
    batch, slots = first_key.shape
    blocks = slots * per
    query = torch.arange(blocks, device=first_key.device)
    low = first_key.repeat_interleave(per, dim=1) * per  # B blocks
    high = ((query // per + 1) * per).expand(batch, -1)
    count = (high - low).int()
    order = (low[..., None] + query) % blocks  # the visited blocks come first
    none = torch.zeros_like(count)
    return BlockMask.from_kv_blocks(
        none[:, None],
        torch.zeros_like(order, dtype=torch.int32)[:, None].contiguous(),
        count[:, None].contiguous(),
        order.int()[:, None].contiguous(),
        BLOCK_SIZE=BLOCK,
        mask_mod=everything,
        seq_lengths=(blocks * BLOCK, blocks * BLOCK),
    )


def flex_attend(q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
    """[B, S, H, d] from q, k, v of that shape (groups already repeated)."""
    from torch.nn.attention.flex_attention import flex_attention

    out = flex_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), block_mask=mask)
    return out.transpose(1, 2)


def sdpa_mask(first_key: Tensor, slot_tokens: int) -> list[Tensor]:
    """Per slot, which of the keys up to its end it sees: bool [B, 1, 1, keys], the key window starting at
    slot 0."""
    slots = torch.arange(first_key.shape[1], device=first_key.device)
    seen = slots[None, None] >= first_key[..., None]  # B query-slot key-slot
    return [
        seen[:, i, : i + 1].repeat_interleave(slot_tokens, dim=1)[:, None, None].contiguous()
        for i in range(first_key.shape[1])
    ]


def sdpa_attend(q: Tensor, k: Tensor, v: Tensor, mask: list[Tensor]) -> Tensor:
    """As `flex_attend`, one dense call per slot over everything before it."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    size = q.shape[2] // len(mask)
    out = []
    for i, seen in enumerate(mask):
        keys = slice(0, (i + 1) * size)
        part = q[:, :, i * size : (i + 1) * size]
        visible = seen.expand(-1, -1, size, -1)
        out.append(F.scaled_dot_product_attention(part, k[:, :, keys], v[:, :, keys], attn_mask=visible))
    return torch.cat(out, dim=2).transpose(1, 2)


def choose_backend(device: torch.device, slot_tokens: int, heads: int, head_dim: int) -> str:
    """ "flex" where it compiles and agrees with SDPA forward and backward, else "sdpa"."""
    if device.type != "cuda" or slot_tokens % BLOCK:
        return "sdpa"
    try:
        first_key = torch.tensor([[0, 0, 0, 1, 1, 4], [0, 1, 2, 2, 3, 5]], device=device)
        q, k, v = (torch.randn(2, 6 * slot_tokens, heads, head_dim, device=device).bfloat16() for _ in range(3))
        results = []
        for run, mask in (
            (torch.compile(flex_attend, dynamic=False), flex_mask(first_key, slot_tokens)),
            (sdpa_attend, sdpa_mask(first_key, slot_tokens)),
        ):
            inputs = [x.clone().requires_grad_() for x in (q, k, v)]
            out = run(*inputs, mask)
            out.float().square().sum().backward()
            results.append([out.detach().float(), *(x.grad.float() for x in inputs)])
        errors = [float((a - b).norm() / b.norm()) for a, b in zip(*results, strict=True)]
        print("flex attention against SDPA, relative errors:", [f"{e:.1e}" for e in errors], flush=True)
        return "flex" if max(errors) < 0.03 else "sdpa"
    except Exception as error:
        print(f"flex attention failed, using SDPA: {type(error).__name__}: {str(error)[:400]}", flush=True)
        return "sdpa"
