"""The MAGI-1 transformer. Reads top to bottom like the paper's figure; parameter names are the checkpoint's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from magi_core.config import DiTConfig
from magi_core.dit.context import TextContext
from magi_core.dit.embed import CaptionEmbedder, FinalLinear, TimestepEmbedder, on_device
from magi_core.dit.layers import Block, CrossAttention, Quantised, SelfAttention
from magi_core.dit.pieces import frames_at_once, pieces
from magi_core.dit.rope import RotaryEmbedding
from magi_core.operations import PLAIN, Operations, Placed


class Blocks(nn.Module):
    def __init__(self, config: DiTConfig, ops: Operations, quantised: Quantised, **factory: Any) -> None:
        super().__init__()
        last = config.num_layers - 1  # fp8 checkpoints keep the first and the last layer unquantised
        self.layers = nn.ModuleList(
            Block(config, i, ops, quantised if 0 < i < last else "", **factory) for i in range(config.num_layers)
        )
        self.final_layernorm = ops.LayerNorm1p(
            config.hidden_size, config.layernorm_epsilon, **{**factory, "dtype": torch.float32}
        )

    def __iter__(self) -> Iterator[Block]:
        return iter(cast("Iterable[Block]", self.layers))


class DiT(Placed):
    """Velocity prediction for a window of chunks.

    operations: makes the layers; plain PyTorch's, or a host's own.
    dtype: of the blocks and of the residual stream; embedders, rotary bands, q/k norms, post-norms, the final norm and
    the final linear are float32 whatever it is. fp8_rows: linears of the inner blocks in fp8 with a scale for every
    row; fp8 checkpoints keep their own form. What a forward attends to comes in as two callables, so that sampling,
    training and hosts share this one model.
    """

    def __init__(
        self,
        config: DiTConfig,
        *,
        operations: Operations = PLAIN,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        fp8_rows: bool = False,
    ) -> None:
        super().__init__()
        self.fp8_rows = fp8_rows and not config.fp8
        self.config, self.dtype, self.in_turn = config, dtype, operations.in_turn
        fp32: dict[str, Any] = {"device": device, "dtype": torch.float32}
        patch = (config.t_patch_size, config.patch_size, config.patch_size)
        self.x_embedder = operations.Conv3d(
            config.in_channels, config.hidden_size, kernel_size=patch, stride=patch, bias=False, **fp32
        )
        self.t_embedder = TimestepEmbedder(config, operations, **fp32)
        self.y_embedder = CaptionEmbedder(config, operations, **fp32)
        self.rope = RotaryEmbedding(config.head_dim, operations, device=device)
        quantised: Quantised = "stored" if config.fp8 else "rows" if fp8_rows else ""
        self.videodit_blocks = Blocks(config, operations, quantised, device=device, dtype=dtype)
        self.final_linear = FinalLinear(config, operations, **fp32)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        cross: CrossAttention,
        *,
        frames: Tensor,
        attend: SelfAttention,
        dropped: bool | Tensor,
        step_factor: float | Tensor | None = None,
    ) -> Tensor:
        """Velocity [B, C, T, h, w] float32.

        latents: [B, C, T, h, w], n chunks of T / n latent frames side by side in time.
        timesteps: [B, n], one per chunk. frames: [T] absolute index of every latent frame (rotary position).
        cross, attend: what is attended to (`magi_core.dit.context` for sampling).
        dropped: the prompt-dropped flag of the adaptive branch, one for all or [B].
        step_factor: distilled models' step size, one for all or [B]; None for base models.
        """
        config = self.config
        patch_t, patch = config.t_patch_size, config.patch_size
        size = (latents.shape[2] // patch_t, latents.shape[3] // patch, latents.shape[4] // patch)
        x = self._embedded(latents, size, timesteps.shape[1])
        condition = self.condition(timesteps, dropped, step_factor).to(self.dtype)
        rope = self.rope(frames[::patch_t], *size[1:])
        blocks = list(self.videodit_blocks)
        for _, block in zip(self.in_turn([block.row_layers for block in blocks], x.device), blocks, strict=True):
            x = block(x, condition, rope, attend, cross)
        norm = self.videodit_blocks.final_layernorm
        cuts = pieces(timesteps.shape[1], x.shape[1] // timesteps.shape[1])
        x = torch.cat([self.final_linear(norm(x[:, cut].float())) for cut in cuts], dim=1)
        x = unpatchify(x, size, (patch_t, patch, patch))
        return x[:, : config.latent_channels] / config.x_rescale_factor

    def _embedded(self, latents: Tensor, size: tuple[int, int, int], chunks: int) -> Tensor:
        """The residual stream [B, S, hidden] that blocks read; size: in tokens. Made in equal parts of a chunk: a
        convolution of more frames may be another kernel, with other last bits."""
        config, per_frame = self.config, size[1] * size[2]
        at_once = frames_at_once(size[0] // chunks, per_frame)
        stream = latents.new_empty((len(latents), size[0] * per_frame, config.hidden_size), dtype=self.dtype)
        for i, part in enumerate(latents.split(at_once * config.t_patch_size, dim=2)):
            x = part.float() * config.x_rescale_factor
            if config.half_channel_vae:
                x = torch.cat([x, x], dim=1)
            x = self.x_embedder(x).flatten(2).transpose(1, 2)
            stream[:, i * at_once * per_frame :][:, : x.shape[1]] = x
        return stream

    def condition(self, timesteps: Tensor, dropped: bool | Tensor, step_factor: float | Tensor | None) -> Tensor:
        """[B, n, cond] float32: timestep embedding (+ step-size embedding) + the adaptive branch's null row."""
        t = self.t_embedder(timesteps, self.dtype)
        if step_factor is not None:
            factor = on_device(step_factor, torch.float32, t.device)
            t = t + self.t_embedder(factor, self.dtype)
        return t + self.y_embedder.condition(dropped, t.device)[:, None]

    def text_tokens(self, embedding: Tensor) -> Tensor:
        """Projected text [..., L, hidden] in the model's dtype from text embeddings [..., L, caption channels]."""
        return self.y_embedder(embedding).to(self.dtype)

    @torch.no_grad()
    def text_context(self, embedding: Tensor) -> TextContext:
        """Keys and values of one text [L, caption channels] for every layer: computed once per prompt."""
        tokens = self.text_tokens(embedding.to(self.device))
        blocks = list(self.videodit_blocks)
        turns = self.in_turn([block.text_layers for block in blocks], tokens.device)
        pairs = [block.self_attention.text_keys_values(tokens) for _, block in zip(turns, blocks, strict=True)]
        keys, values = zip(*pairs, strict=True)
        return TextContext(tuple(keys), tuple(values))


def unpatchify(x: Tensor, size: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """[B, C, T, h, w] from tokens [B, T' * H' * W', pT * pH * pW * C], channel fastest."""
    (t, h, w), (pt, ph, pw) = size, patch
    pattern = "b (t h w) (pt ph pw c) -> b c (t pt) (h ph) (w pw)"
    return rearrange(x, pattern, t=t, h=h, w=w, pt=pt, ph=ph, pw=pw)
