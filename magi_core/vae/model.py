"""The ViT video autoencoder: patches of 4 x 8 x 8 pixels to latents and back, under the official names.

Control flow depends on shapes only, so the module compiles and trains; the residual stream keeps the
input's dtype (float32 under autocast). Tiling and streaming live in `tiling.py` and `codec.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.errors import MagiError
from magi_core.kernels.fused import gelu_in_place, standardise
from magi_core.operations import PLAIN, Operations, Placed
from magi_core.vae.config import VAEConfig

VAEAttention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(q, k, v) -> out`, all `[B, heads, N, head_dim]`, every token attending to every other."""


class SelfAttention(nn.Module):
    def __init__(self, config: VAEConfig, attention: VAEAttention, ops: Operations, **place: Any) -> None:
        super().__init__()
        self.heads, self.standardised, self.attention = config.num_heads, config.ln_in_attn, attention
        self.qkv = ops.Linear(config.embed_dim, 3 * config.embed_dim, bias=config.qkv_bias, **place)
        self.proj = ops.Linear(config.embed_dim, config.embed_dim, **place)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        if self.standardised:
            qkv = standardise(qkv)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return self.proj(self.attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, config: VAEConfig, ops: Operations, **place: Any) -> None:
        super().__init__()
        hidden = int(config.embed_dim * config.mlp_ratio)
        self.fc1 = ops.Linear(config.embed_dim, hidden, **place)
        self.fc2 = ops.Linear(hidden, config.embed_dim, **place)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.fc1(x)
        return self.fc2(F.gelu(inner) if torch.is_grad_enabled() else gelu_in_place(inner))


class Block(nn.Module):
    def __init__(self, config: VAEConfig, attention: VAEAttention, ops: Operations, **place: Any) -> None:
        super().__init__()
        self.norm1 = nn.Identity() if config.ln_in_attn else ops.LayerNorm(config.embed_dim, **place)
        self.attn = SelfAttention(config, attention, ops, **place)
        self.norm2 = ops.LayerNorm(config.embed_dim, **place)
        self.mlp = MLP(config, ops, **place)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x)).to(x.dtype)
        return x + self.mlp(self.norm2(x)).to(x.dtype)


class Trunk(nn.Module):
    """What encoder and decoder share: class token, learned positions, blocks, final norm."""

    def __init__(self, config: VAEConfig, attention: VAEAttention, ops: Operations, **place: Any) -> None:
        super().__init__()
        self.config, self.placed = config, ops.placed
        frames, height, width = config.grid
        tokens = frames * height * width + int(config.with_cls_token)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, config.embed_dim, **place))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if config.with_cls_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim, **place))
            nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.blocks = nn.ModuleList(Block(config, attention, ops, **place) for _ in range(config.depth))
        self.norm = ops.LayerNorm(config.embed_dim, **place)

    def positions(self, shape: tuple[int, int, int], device: torch.device) -> tuple[Tensor | None, Tensor]:
        """Float32 positions of the class token (None without one) and of a grid, `[1, t*h*w, width]`, on `device`.

        Grids other than the learned one are interpolated linearly, axis by axis (F.interpolate's trilinear takes 20
        times as long on a GPU); the class token's position never is.
        """
        table = self.placed(self.pos_embed, device).float()
        first = int(self.config.with_cls_token)
        token, grid = (table[:, :1] if first else None), table[:, first:]
        if shape != self.config.grid:
            volume = grid.unflatten(1, self.config.grid)
            for axis, size in enumerate(shape, start=1):
                volume = resized(volume, axis, size)
            grid = volume.flatten(1, 3)
        return token, grid

    def run(self, tokens: Tensor, shape: tuple[int, int, int], dtype: torch.dtype) -> Tensor:
        """Tokens `[B, t*h*w, width]` through blocks and final norm, residual stream in `dtype`."""
        token_position, grid = self.positions(shape, tokens.device)
        x = (tokens.float() + grid).to(dtype)
        if token_position is not None:
            first = (self.placed(self.cls_token, tokens.device).float() + token_position).to(dtype)
            x = torch.cat((first.expand(x.shape[0], -1, -1), x), dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, int(self.config.with_cls_token) :]


class PatchEmbed(nn.Module):
    def __init__(self, config: VAEConfig, ops: Operations, **place: Any) -> None:
        super().__init__()
        patch = (config.patch_length, config.patch_size, config.patch_size)
        self.proj = ops.Conv3d(config.in_chans, config.embed_dim, kernel_size=patch, stride=patch, **place)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Encoder(Trunk):
    def __init__(self, config: VAEConfig, attention: VAEAttention, ops: Operations, **place: Any) -> None:
        super().__init__(config, attention, ops, **place)
        self.patch_embed = PatchEmbed(config, ops, **place)
        self.last_layer = ops.Linear(config.embed_dim, 2 * config.z_chans, **place)

    def forward(self, video: Tensor) -> Tensor:
        """`[B, 3, T, H, W]` to moments `[B, 2z, T/4, H/8, W/8]`: means, then log variances."""
        patches = self.patch_embed(video)
        shape = grid_of(patches)
        moments = self.last_layer(self.run(patches.flatten(2).transpose(1, 2), shape, video.dtype))
        moments = moments.transpose(1, 2).unflatten(2, shape)
        if self.config.norm_code:
            moments = (moments.float() / moments.float().norm(dim=1, keepdim=True)).to(moments.dtype)
        return moments


class Decoder(Trunk):
    def __init__(self, config: VAEConfig, attention: VAEAttention, ops: Operations, **place: Any) -> None:
        super().__init__(config, attention, ops, **place)
        self.proj_in = ops.Linear(config.z_chans, config.embed_dim, **place)
        if config.use_final_proj:
            self.final_proj = ops.Linear(config.embed_dim, config.unpatch_width, **place)
            self.final_norm = ops.LayerNorm(config.unpatch_width, **place)
        self.last_layer = ops.Conv3d(config.unpatch_channels, 3, kernel_size=3, padding=1, **place)

    def forward(self, latent: Tensor) -> Tensor:
        """`[B, z, t, h, w]` to `[B, 3, 4t, 8h, 8w]`, nominally in [-1, 1] (not clamped)."""
        config, shape = self.config, grid_of(latent)
        x = self.run(self.proj_in(latent.flatten(2).transpose(1, 2)), shape, latent.dtype)
        if config.use_final_proj:
            x = self.final_norm(self.final_proj(x))
        return self.last_layer(unpack(x, shape, config).to(latent.dtype))


def grid_of(x: Tensor) -> tuple[int, int, int]:
    """t, h, w of `x` [B, C, t, h, w]."""
    return x.shape[2], x.shape[3], x.shape[4]


def resized(x: Tensor, axis: int, size: int) -> Tensor:
    """`x` with `size` places along `axis`, linearly between the centres of its own."""
    own = x.shape[axis]
    if size == own:
        return x
    at = ((torch.arange(size, device=x.device) + 0.5) * (own / size) - 0.5).clamp(0, own - 1)
    below = at.floor().long()
    share = (at - below).view([-1] + [1] * (x.ndim - 1 - axis))
    low, high = x.index_select(axis, below), x.index_select(axis, (below + 1).clamp(max=own - 1))
    return low * (1 - share) + high * share


def unpack(x: Tensor, shape: tuple[int, int, int], config: VAEConfig) -> Tensor:
    """Tokens `[B, t*h*w, pT*pH*pW*C]` (channel fastest) to pixels `[B, C, t*pT, h*pH, w*pW]`."""
    size, length = config.patch_size, config.patch_length
    x = x.reshape(x.shape[0], *shape, length, size, size, config.unpatch_channels)
    x = x.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


class ViTVAE(Placed):
    """Encoder and decoder under the official parameter names (`encoder.*`, `decoder.*`).

    operations: makes the layers; plain PyTorch's, or a host's own.
    attention: `VAEAttention`; PyTorch's scaled dot product by default.
    """

    def __init__(
        self,
        config: VAEConfig,
        *,
        operations: Operations = PLAIN,
        attention: VAEAttention = F.scaled_dot_product_attention,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, attention, operations, device=device, dtype=dtype)
        self.decoder = Decoder(config, attention, operations, device=device, dtype=dtype)

    def encode_moments(self, video: Tensor) -> Tensor:
        """`[B, 3, T, H, W]` in [-1, 1] to `[B, 2z, t, h, w]`; T a multiple of 4, or 1 (an image)."""
        config = self.config
        frames, height, width = video.shape[2:]
        if height % config.patch_size or width % config.patch_size:
            raise MagiError(f"width and height must be multiples of {config.patch_size}: {width}x{height}")
        if frames == 1:
            return self.encoder(video.expand(-1, -1, config.patch_length, -1, -1))
        if frames % config.patch_length:
            raise MagiError(f"frames must be 1 or a multiple of {config.patch_length}: {frames}")
        return self.encoder(video)

    def encode(self, video: Tensor) -> Tensor:
        """The mean latent `[B, z, t, h, w]` of `encode_moments`."""
        return self.encode_moments(video)[:, : self.config.z_chans]

    def decode(self, latent: Tensor, reference_quirks: bool = False) -> Tensor:
        """`[B, z, t, h, w]` to `[B, 3, 4t, 8h, 8w]`; `reference_quirks`: one frame only when t is 1."""
        video = self.decoder(latent)
        return video[:, :, :1] if reference_quirks and latent.shape[2] == 1 else video
