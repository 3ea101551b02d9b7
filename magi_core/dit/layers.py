"""One transformer block: parallel self- and cross-attention on one pre-norm, then the MLP, both behind tanh gates."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.config import DiTConfig
from magi_core.dit.fp8 import Fp8Linear
from magi_core.kernels.fused import add_gated, gated_silu, layer_norm_1p, multiply_fp32, normalise_and_rotate

SelfAttention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""`(layer, q [B, S, heads, d], k [B, S, groups, d], v like k) -> [B, S, heads, d]`: decides what is attended to."""
CrossAttention = Callable[[int, Tensor], Tensor]
"""`(layer, q [B, S, heads, d]) -> [B, S, heads, d]`: attention to the text of each query's chunk."""

MIX_GROUPS = 8  # the projection interleaves self- and cross-attention in 8 groups of channels, whatever the heads


class LayerNorm1p(nn.Module):
    """Layer norm over the last axis with gain `1 + weight`."""

    def __init__(self, size: int, eps: float, **factory: Any) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(size, **factory))
        self.bias = nn.Parameter(torch.empty(size, **factory))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm_1p(x, *self.parts(x.device))

    def parts(self, device: torch.device) -> tuple[Tensor, Tensor, float]:
        """Weight and bias on `device`, and eps."""
        return self.weight.to(device), self.bias.to(device), self.eps


class Modulation(nn.Module):
    """The attention gate and the MLP gate of every chunk, soft-capped to [-1, 1]."""

    def __init__(self, config: DiTConfig, ops: ModuleType | Any, **factory: Any) -> None:
        super().__init__()
        self.proj = nn.Sequential(ops.Linear(config.cond_size, 2 * config.hidden_size, **factory))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Two gates [B, n, hidden] from the condition [B, n, cond]."""
        return torch.tanh(self.proj(F.silu(condition))).chunk(2, dim=-1)


class AttentionInput(nn.Module):
    """The shared pre-norm and the four projections that read it."""

    def __init__(self, config: DiTConfig, ops: ModuleType | Any, quantised: bool, **factory: Any) -> None:
        super().__init__()
        width, kv = config.hidden_size, config.num_groups * config.head_dim
        self.layer_norm = ops.LayerNorm(width, eps=config.layernorm_epsilon, **factory)
        self.q = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.qx = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.k = make_linear(width, kv, ops, quantised, per_channel=False, **factory)
        self.v = make_linear(width, kv, ops, quantised, per_channel=False, **factory)


class Attention(nn.Module):
    def __init__(self, config: DiTConfig, index: int, ops: ModuleType | Any, quantised: bool, **factory: Any) -> None:
        super().__init__()
        self.index, self.heads, self.groups = index, config.num_heads, config.num_groups
        width, eps, head = config.hidden_size, config.layernorm_epsilon, config.head_dim
        fp32 = {**factory, "dtype": torch.float32}
        self.linear_qkv = AttentionInput(config, ops, quantised, **factory)
        self.linear_kv_xattn = ops.Linear(width, 2 * config.num_groups * head, bias=False, **factory)
        self.linear_proj = make_linear(2 * width, width, ops, quantised, per_channel=True, **factory)
        self.q_layernorm = LayerNorm1p(head, eps, **fp32)
        self.q_layernorm_xattn = LayerNorm1p(head, eps, **factory)
        self.k_layernorm = LayerNorm1p(head, eps, **fp32)
        self.k_layernorm_xattn = LayerNorm1p(head, eps, **factory)

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
        q = normalise_and_rotate(q, *rope, *self.q_layernorm.parts(x.device))
        k = normalise_and_rotate(k, *rope, *self.k_layernorm.parts(x.device))
        own = attend(self.index, q, k, v).flatten(-2)
        qx = self.q_layernorm_xattn(read.qx(normed).unflatten(-1, (self.heads, -1)))
        text = cross(self.index, qx).flatten(-2)
        mixed = torch.stack([own.unflatten(-1, (MIX_GROUPS, -1)), text.unflatten(-1, (MIX_GROUPS, -1))], dim=-2)
        return project_fp32(self.linear_proj, mixed.flatten(-3))


class MLP(nn.Module):
    def __init__(self, config: DiTConfig, ops: ModuleType | Any, quantised: bool, **factory: Any) -> None:
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
    def __init__(self, config: DiTConfig, index: int, ops: ModuleType | Any, quantised: bool, **factory: Any) -> None:
        super().__init__()
        fp32 = {**factory, "dtype": torch.float32}
        self.ada_modulate_layer = Modulation(config, ops, **factory)
        self.self_attention = Attention(config, index, ops, quantised, **factory)
        self.self_attn_post_norm = LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)
        self.mlp = MLP(config, ops, quantised, **factory)
        self.mlp_post_norm = LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)

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
        x = _join(x, update, attention_gate, self.self_attn_post_norm)
        return _join(x, self.mlp(x), mlp_gate, self.mlp_post_norm)


def _join(x: Tensor, update: Tensor, gate: Tensor, norm: LayerNorm1p) -> Tensor:
    """`x + norm(gate * update)` in float32, returned in the dtype of `x`; the norm comes after the gate.

    x, update: [B, S, hidden]; gate: [B, n, hidden], one row per chunk of S / n tokens.
    """
    chunks = gate.shape[1]
    per_chunk = x.unflatten(1, (chunks, -1)), update.unflatten(1, (chunks, -1))
    return add_gated(*per_chunk, gate, *norm.parts(x.device)).flatten(1, 2)


def project_fp32(linear: nn.Module, x: Tensor) -> Tensor:
    """The attention output projection: float32 result from exact products; quantised layers keep their own arithmetic.

    A host's layer that fetches its weight brings a `project_fp32` of its own around `multiply_fp32`.
    """
    if isinstance(linear, Fp8Linear):
        return linear(x)
    own = getattr(linear, "project_fp32", None)
    return multiply_fp32(x, linear.weight) if own is None else own(x)


def make_linear(
    in_features: int,
    out_features: int,
    ops: ModuleType | Any,
    quantised: bool,
    *,
    per_channel: bool,
    **factory: Any,
) -> nn.Module:
    if quantised:
        layer = getattr(ops, "Fp8Linear", Fp8Linear)
        return layer(in_features, out_features, per_channel=per_channel, device=factory.get("device"))
    return ops.Linear(in_features, out_features, bias=False, **factory)
