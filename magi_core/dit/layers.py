"""One transformer block: parallel self- and cross-attention on one pre-norm, then the MLP, both behind tanh gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.config import DiTConfig
from magi_core.kernels.fused import gated_silu
from magi_core.operations import Operations

SelfAttention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""`(layer, q [B, S, heads, d], k [B, S, groups, d], v like k) -> [B, S, heads, d]`: decides what is attended to."""
CrossAttention = Callable[[int, Tensor], Tensor]
"""`(layer, q [B, S, heads, d]) -> [B, S, heads, d]`: attention to the text of each query's chunk."""

MIX_GROUPS = 8  # the projection interleaves self- and cross-attention in 8 groups of channels, whatever the heads


class Modulation(nn.Module):
    """The attention gate and the MLP gate of every chunk, soft-capped to [-1, 1]."""

    def __init__(self, config: DiTConfig, ops: Operations, **factory: Any) -> None:
        super().__init__()
        self.proj = nn.Sequential(ops.Linear(config.cond_size, 2 * config.hidden_size, **factory))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Two gates [B, n, hidden] from the condition [B, n, cond]."""
        attention, mlp = torch.tanh(self.proj(F.silu(condition))).chunk(2, dim=-1)
        return attention, mlp


class AttentionInput(nn.Module):
    """The shared pre-norm and the four projections that read it."""

    def __init__(self, config: DiTConfig, ops: Operations, quantised: bool, **factory: Any) -> None:
        super().__init__()
        width, kv = config.hidden_size, config.num_groups * config.head_dim
        self.layer_norm = ops.LayerNorm(width, eps=config.layernorm_epsilon, **factory)
        self.q = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.qx = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.k = make_linear(width, kv, ops, quantised, per_channel=False, **factory)
        self.v = make_linear(width, kv, ops, quantised, per_channel=False, **factory)


class Attention(nn.Module):
    def __init__(self, config: DiTConfig, index: int, ops: Operations, quantised: bool, **factory: Any) -> None:
        super().__init__()
        self.index, self.heads, self.groups = index, config.num_heads, config.num_groups
        width, eps, head = config.hidden_size, config.layernorm_epsilon, config.head_dim
        fp32 = {**factory, "dtype": torch.float32}
        self.linear_qkv = AttentionInput(config, ops, quantised, **factory)
        self.linear_kv_xattn = ops.Linear(width, 2 * config.num_groups * head, bias=False, **factory)
        self.linear_proj = make_projection(2 * width, width, ops, quantised, **factory)
        self.q_layernorm = ops.LayerNorm1p(head, eps, **fp32)
        self.q_layernorm_xattn = ops.LayerNorm1p(head, eps, **factory)
        self.k_layernorm = ops.LayerNorm1p(head, eps, **fp32)
        self.k_layernorm_xattn = ops.LayerNorm1p(head, eps, **factory)

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-attention K and V, each [..., L, groups, d], from projected text [..., L, hidden].

        Rows of the linear are ordered (K of group 0, V of group 0, K of group 1, ...). Values are not normalised.
        """
        k, v = self.linear_kv_xattn(text).unflatten(-1, (self.groups, 2, -1)).unbind(-2)
        return self.k_layernorm_xattn(k), v

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], attend: SelfAttention, cross: CrossAttention) -> Tensor:
        """[B, S, hidden], float32 from the unquantised projection, from the residual stream `x` [B, S, hidden]."""
        read = self.linear_qkv
        normed = read.layer_norm(x)
        q = read.q(normed).unflatten(-1, (self.heads, -1))
        k = read.k(normed).unflatten(-1, (self.groups, -1))
        v = read.v(normed).unflatten(-1, (self.groups, -1))
        q = self.q_layernorm.rotated(q, rope)
        k = self.k_layernorm.rotated(k, rope)
        own = attend(self.index, q, k, v).flatten(-2)
        qx = self.q_layernorm_xattn(read.qx(normed).unflatten(-1, (self.heads, -1)))
        text = cross(self.index, qx).flatten(-2)
        mixed = torch.stack([own.unflatten(-1, (MIX_GROUPS, -1)), text.unflatten(-1, (MIX_GROUPS, -1))], dim=-2)
        return self.linear_proj(mixed.flatten(-3))


class MLP(nn.Module):
    def __init__(self, config: DiTConfig, ops: Operations, quantised: bool, **factory: Any) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.ffn_hidden_size
        self.gated = config.gated
        self.layer_norm = ops.LayerNorm(width, eps=config.layernorm_epsilon, **factory)
        fan = 2 * inner if config.gated else inner
        self.linear_fc1 = make_linear(width, fan, ops, quantised, per_channel=False, **factory)
        self.linear_fc2 = make_linear(inner, width, ops, quantised, per_channel=True, **factory)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear_fc1(self.layer_norm(x))
        return self.linear_fc2(gated_silu(x) if self.gated else F.gelu(x))


class Block(nn.Module):
    def __init__(self, config: DiTConfig, index: int, ops: Operations, quantised: bool, **factory: Any) -> None:
        super().__init__()
        fp32 = {**factory, "dtype": torch.float32}
        self.ada_modulate_layer = Modulation(config, ops, **factory)
        self.self_attention = Attention(config, index, ops, quantised, **factory)
        self.self_attn_post_norm = ops.LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)
        self.mlp = MLP(config, ops, quantised, **factory)
        self.mlp_post_norm = ops.LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        rope: tuple[Tensor, Tensor],
        attend: SelfAttention,
        cross: CrossAttention,
    ) -> Tensor:
        """[B, S, hidden] -> the same; `condition` [B, n, cond] holds one row per chunk of S / n tokens."""
        attention_gate, mlp_gate = self.ada_modulate_layer(condition)
        update = self.self_attention(x, rope, attend, cross)
        x = self.self_attn_post_norm.added(x, update, attention_gate)
        return self.mlp_post_norm.added(x, self.mlp(x), mlp_gate)


def make_linear(
    inputs: int, outputs: int, ops: Operations, quantised: bool, *, per_channel: bool, **factory: Any
) -> nn.Module:
    """A linear without bias; `per_channel` is of the quantised form's input scale."""
    if quantised:
        return ops.Fp8Linear(inputs, outputs, per_channel=per_channel, device=factory.get("device"))
    return ops.Linear(inputs, outputs, bias=False, **factory)


def make_projection(inputs: int, outputs: int, ops: Operations, quantised: bool, **factory: Any) -> nn.Module:
    """The attention output projection: a float32 result from exact products; the quantised form keeps its own."""
    if quantised:
        return ops.Fp8Linear(inputs, outputs, per_channel=True, device=factory.get("device"))
    return ops.LinearFp32(inputs, outputs, **factory)
