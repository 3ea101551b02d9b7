"""One transformer block: parallel self- and cross-attention on one pre-norm, then the MLP, both behind tanh gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.config import DiTConfig
from magi_core.dit.embed import in_eights
from magi_core.dit.pieces import pieces
from magi_core.kernels.fused import (
    gated_silu,
    gated_silu_and_quantise,
    gelu_and_quantise,
    gelu_in_place,
    interleave,
    interleave_and_quantise,
    quantise_rows,
)
from magi_core.operations import Operations
from magi_core.operations.fp8 import takes_quantised, takes_rows
from magi_core.operations.norm import LayerNorm

Read = Callable[[Tensor, int], Tensor]
"""`(q [B, s, heads, d], first) -> [B, s, heads, d]`: attention of the rows from `first` on."""
SelfAttention = Callable[[int, Sequence[Tensor], Sequence[Tensor]], Read]
"""`(layer, keys, values) -> Read`, both in pieces [B, s, groups, d] that make up all rows: says what is attended to."""
CrossAttention = Callable[[int, Tensor, int, int], Tensor]
"""`(layer, q [B, s, heads, d], first, size) -> [B, s, heads, d]`: attention of the rows from `first` on, `size` to a
chunk, to the text of their chunks."""
Rope = tuple[Tensor, Tensor]

Quantised = Literal["", "stored", "rows"]
"""Linears in fp8: none, as fp8 checkpoints store them, or with a scale for every row, made on load."""

MIX_GROUPS = 8  # the projection interleaves self- and cross-attention in 8 groups of channels, whatever the heads


class Modulation(nn.Module):
    """The attention gate and the MLP gate of every chunk, soft-capped to [-1, 1]."""

    def __init__(self, config: DiTConfig, ops: Operations, **factory: Any) -> None:
        super().__init__()
        self.proj = nn.Sequential(ops.Linear(config.cond_size, 2 * config.hidden_size, **factory))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Two gates [B, n, hidden] from the condition [B, n, cond], each in one piece, as kernels take them."""
        attention, mlp = in_eights(lambda rows: torch.tanh(self.proj(F.silu(rows))), condition).chunk(2, dim=-1)
        return attention.contiguous(), mlp.contiguous()


class AttentionInput(nn.Module):
    """The shared pre-norm and the four projections that read it."""

    def __init__(self, config: DiTConfig, ops: Operations, quantised: Quantised, **factory: Any) -> None:
        super().__init__()
        width, kv = config.hidden_size, config.num_groups * config.head_dim
        self.layer_norm = ops.LayerNorm(width, eps=config.layernorm_epsilon, **factory)
        self.q = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.qx = make_linear(width, width, ops, quantised, per_channel=False, **factory)
        self.k = make_linear(width, kv, ops, quantised, per_channel=False, **factory)
        self.v = make_linear(width, kv, ops, quantised, per_channel=False, **factory)


class Attention(nn.Module):
    def __init__(self, config: DiTConfig, index: int, ops: Operations, quantised: Quantised, **factory: Any) -> None:
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

    def keys_values(self, x: Tensor, rope: Rope) -> tuple[Tensor, Tensor]:
        """Self-attention K and V, each [B, s, groups, d], of rows `x` [B, s, hidden] of the residual stream."""
        read = self.linear_qkv
        k, v = (out.unflatten(-1, (self.groups, -1)) for out in of_the_norm(read.layer_norm, x, read.k, read.v))
        return self.k_layernorm.rotated(k, rope), v

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-attention K and V, each [..., L, groups, d], from projected text [..., L, hidden].

        Rows of the linear are ordered (K of group 0, V of group 0, K of group 1, ...). Values are not normalised.
        """
        k, v = self.linear_kv_xattn(text).unflatten(-1, (self.groups, 2, -1)).unbind(-2)
        return self.k_layernorm_xattn(k), v

    def forward(self, x: Tensor, first: int, size: int, rope: Rope, read: Read, cross: CrossAttention) -> Tensor:
        """[B, s, hidden] of rows `x` of the residual stream from `first` on, `size` to a chunk; float32 from the
        unquantised projection."""
        to = self.linear_qkv
        q, qx = (out.unflatten(-1, (self.heads, -1)) for out in of_the_norm(to.layer_norm, x, to.q, to.qx))
        q = self.q_layernorm.rotated(q, rope)  # names are used again, so that nothing outlives its use
        own = read(q, first).flatten(-2)
        del q
        qx = self.q_layernorm_xattn(qx)
        text = cross(self.index, qx, first, size).flatten(-2)
        del qx
        if takes_quantised(self.linear_proj):
            mixed = interleave_and_quantise(own, text, self.linear_proj.scale(x.device), MIX_GROUPS)
            del own, text
            return self.linear_proj.product(mixed, x.dtype)
        mixed = interleave(own, text, MIX_GROUPS)
        del own, text
        return self.linear_proj(mixed)


class MLP(nn.Module):
    def __init__(self, config: DiTConfig, ops: Operations, quantised: Quantised, **factory: Any) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.ffn_hidden_size
        self.gated = config.gated
        self.layer_norm = ops.LayerNorm(width, eps=config.layernorm_epsilon, **factory)
        fan = 2 * inner if config.gated else inner
        self.linear_fc1 = make_linear(width, fan, ops, quantised, per_channel=False, **factory)
        self.linear_fc2 = make_linear(inner, width, ops, quantised, per_channel=True, **factory)

    def forward(self, x: Tensor) -> Tensor:
        (inner,) = of_the_norm(self.layer_norm, x, self.linear_fc1)
        if takes_quantised(self.linear_fc2):
            activate = gated_silu_and_quantise if self.gated else gelu_and_quantise
            inner = activate(inner, self.linear_fc2.scale(x.device))
            return self.linear_fc2.product(inner, x.dtype)
        if self.gated:
            inner = gated_silu(inner)
            return self.linear_fc2(inner)
        return self.linear_fc2(F.gelu(inner) if torch.is_grad_enabled() else gelu_in_place(inner))


class Block(nn.Module):
    def __init__(self, config: DiTConfig, index: int, ops: Operations, quantised: Quantised, **factory: Any) -> None:
        super().__init__()
        fp32 = {**factory, "dtype": torch.float32}
        self.ada_modulate_layer = Modulation(config, ops, **factory)
        self.self_attention = Attention(config, index, ops, quantised, **factory)
        self.self_attn_post_norm = ops.LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)
        self.mlp = MLP(config, ops, quantised, **factory)
        self.mlp_post_norm = ops.LayerNorm1p(config.hidden_size, config.layernorm_epsilon, **fp32)
        self.held = ops.held

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        rope: Rope,
        attend: SelfAttention,
        cross: CrossAttention,
    ) -> Tensor:
        """[B, S, hidden] -> the same; `condition` [B, n, cond] holds one row per chunk of S / n tokens.

        Goes piece by piece once the keys and values of all rows are there. Without gradients, a stream of several
        pieces is written over.
        """
        gates = self.ada_modulate_layer(condition)
        size = x.shape[1] // condition.shape[1]
        cuts = [slice(0, x.shape[1])] if torch.is_grad_enabled() else pieces(condition.shape[1], size)
        if len(cuts) == 1:
            keys, values = self.self_attention.keys_values(x, rope)
            read = attend(self.self_attention.index, [keys], [values])
            return self._piece(x, 0, size, rope, read, cross, gates)
        with self.held(self._in_every_piece, x.device):
            parts = [self.self_attention.keys_values(x[:, cut], _of(rope, cut)) for cut in cuts]
            read = attend(self.self_attention.index, [k for k, _ in parts], [v for _, v in parts])
            del parts
            for cut in cuts:
                chunks = slice(cut.start // size, -(-cut.stop // size))
                part_gates = gates[0][:, chunks], gates[1][:, chunks]
                self._piece(x[:, cut], cut.start, size, _of(rope, cut), read, cross, part_gates, in_place=True)
        return x

    @property
    def row_layers(self) -> list[nn.Module]:
        """The layers that a forward runs."""
        return [self.ada_modulate_layer, *self._in_every_piece]

    @property
    def text_layers(self) -> list[nn.Module]:
        """Those that make a text's keys and values, once a prompt."""
        return [self.self_attention.linear_kv_xattn, self.self_attention.k_layernorm_xattn]

    @property
    def _in_every_piece(self) -> list[nn.Module]:
        """The layers that run once a piece: all but the gates and the text's keys and values."""
        attention = self.self_attention
        norms = (attention.q_layernorm, attention.q_layernorm_xattn, attention.k_layernorm)
        own = (self.self_attn_post_norm, self.mlp, self.mlp_post_norm)
        return [attention.linear_qkv, attention.linear_proj, *norms, *own]

    def _piece(
        self,
        x: Tensor,
        first: int,
        size: int,
        rope: Rope,
        read: Read,
        cross: CrossAttention,
        gates: tuple[Tensor, Tensor],
        *,
        in_place: bool = False,
    ) -> Tensor:
        update = self.self_attention(x, first, size, rope, read, cross)
        x = self.self_attn_post_norm.added(x, update, gates[0], in_place=in_place)
        del update
        return self.mlp_post_norm.added(x, self.mlp(x), gates[1], in_place=in_place)


def _of(rope: Rope, rows: slice) -> Rope:
    sine, cosine = rope
    return sine[rows], cosine[rows]


def of_the_norm(norm: LayerNorm, x: Tensor, *linears: nn.Module) -> list[Tensor]:
    """What each of `linears` makes of the norm of `x`, which is computed once, for fp8 linears quantised on its way."""
    eights = [linear for linear in linears if takes_quantised(linear)]
    if len(eights) == len(linears):
        quantised = norm.quantised(x, [linear.scale(x.device) for linear in eights])
        return [linear.product(rows, x.dtype) for linear, rows in zip(eights, quantised, strict=True)]
    normed = norm(x)
    by_row = [linear for linear in linears if takes_rows(linear)]
    if len(by_row) == len(linears):
        rows, scales = quantise_rows(normed)
        del normed
        return [linear.product(rows, scales, x.dtype) for linear in by_row]
    return [linear(normed) for linear in linears]


def make_linear(
    inputs: int, outputs: int, ops: Operations, quantised: Quantised, *, per_channel: bool, **factory: Any
) -> nn.Module:
    """A linear without bias; `per_channel` is of the stored form's input scale."""
    if quantised == "rows":
        return ops.Fp8RowLinear(inputs, outputs, device=factory.get("device"))
    if quantised:
        return ops.Fp8Linear(inputs, outputs, per_channel=per_channel, device=factory.get("device"))
    return ops.Linear(inputs, outputs, bias=False, **factory)


def make_projection(inputs: int, outputs: int, ops: Operations, quantised: Quantised, **factory: Any) -> nn.Module:
    """The attention output projection: a float32 result from exact products; the quantised forms keep their own."""
    if quantised == "rows":
        return ops.Fp8RowLinear(inputs, outputs, device=factory.get("device"))
    if quantised:
        return ops.Fp8Linear(inputs, outputs, per_channel=True, device=factory.get("device"))
    return ops.LinearFp32(inputs, outputs, **factory)
