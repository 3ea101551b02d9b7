"""Transformers of the official shapes with random weights, made on the device, and the forwards of a steady window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from magi_core.attention.spans import Attention
from magi_core.config import DiTConfig
from magi_core.dit import DiT, KVPage, OnDevice, Pages, TextAttention, WindowAttention
from magi_core.operations import PLAIN, Operations
from magi_core.vae import TileSettings, VAEConfig, ViTVAE
from magi_core.vae.tiling import decode_axes

SIZES = {
    "4.5B": DiTConfig(34, 3072, 12288, 24, 8, 128),
    "24B": DiTConfig(
        48,
        6144,
        16384,
        48,
        8,
        128,
        in_channels=32,
        out_channels=32,
        gated=True,
        half_channel_vae=True,
        x_rescale_factor=0.1,
    ),
    "tiny": DiTConfig(4, 64, 128, 4, 2, 16, caption_channels=32, caption_max_length=64),
}
TEXT_TOKENS = 202
FP8_STEP = 32  # standard deviation of fp8 weights before their scale


def official_config(size: str, *, fp8: bool = False, layers: int | None = None, distill: bool = True) -> DiTConfig:
    config = replace(SIZES[size], fp8=fp8, distill=distill)
    return replace(config, num_layers=layers) if layers else config


def random_weights(dit: DiT, seed: int = 0) -> DiT:
    """`dit` with weights normal(0, 0.02), gains of 1, and fp8 scales that use the range of the format."""
    generator = torch.Generator(dit.device).manual_seed(seed)
    for name, parameter in dit.requires_grad_(False).named_parameters():
        if "scale" in name:
            parameter.fill_(0.02 / FP8_STEP if "weight" in name else 0.02)
        elif parameter.dtype == torch.float8_e4m3fn:
            numbers = torch.randn(parameter.shape, generator=generator, device=dit.device)
            parameter.copy_((FP8_STEP * numbers).to(parameter.dtype))
        elif name != "rope.bands":
            parameter.normal_(0, 0.02, generator=generator)
            if "layer_norm.weight" in name:
                parameter.add_(1)
    return dit


def random_dit(config: DiTConfig, *, operations: Operations = PLAIN, fp8_rows: bool = False) -> DiT:
    """On the GPU, blocks in bfloat16."""
    kind: dict[str, Any] = {"operations": operations, "fp8_rows": fp8_rows}
    with torch.no_grad():
        return random_weights(DiT(config, device="cuda", dtype=torch.bfloat16, **kind))


@dataclass(frozen=True)
class SteadyForward:
    """One forward of a distilled model's window of four: 5 chunks read a clean page, 6 make one.

    The last chunk of either is the nearly clean one again, by itself. width, height: pixels.
    """

    chunks: int
    width: int
    height: int

    @property
    def size(self) -> int:
        """Tokens of a chunk."""
        return 6 * (self.height // 16) * (self.width // 16)

    @property
    def keys(self) -> tuple[tuple[int, int], ...]:
        """Range that every chunk attends to, over history and own chunks."""
        seen = ((0, 2), (0, 3), (0, 4), (0, 5), (5, 6))
        return seen if self.chunks == 5 else ((0, 1), *seen)

    def of(
        self, dit: DiT, attention: Attention, where: Pages | None = None
    ) -> Callable[[], tuple[Tensor, dict[int, KVPage]]]:
        """A function that makes the forward: velocity and pages. where: pages are, on the device if left out."""
        generator, device = torch.Generator(dit.device).manual_seed(1), dit.device

        def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.randn(shape, generator=generator, device=device, dtype=dtype)

        config, history = dit.config, []
        latents = noise(1, config.latent_channels, 6 * self.chunks, self.height // 8, self.width // 8)
        texts = [dit.text_context(noise(TEXT_TOKENS, config.caption_channels)) for _ in range(self.chunks)]
        if self.chunks == 5:
            page, shape = (where or OnDevice()).making(0), (self.size, config.num_groups, config.head_dim)
            for _ in range(config.num_layers):
                page.add(noise(*shape, dtype=dit.dtype), noise(*shape, dtype=dit.dtype))
            history = [page.made()]
        timesteps = torch.linspace(0.8, 0.1, self.chunks, device=device)[None]
        frames = torch.arange(6 * self.chunks, device=device)

        def forward() -> tuple[Tensor, dict[int, KVPage]]:
            window = WindowAttention(attention, self.keys, history, keep=[] if history else [0], where=where)
            cross = TextAttention(attention, texts)
            with torch.no_grad():
                velocity = dit(latents, timesteps, cross, frames=frames, attend=window, dropped=False, step_factor=2.0)
            return velocity, window.pages

        return forward

    def flops(self, config: DiTConfig) -> tuple[float, float]:
        """Operations of all linear layers in the blocks, and of self-attention; a multiply-add counts as two."""
        hidden, kv = config.hidden_size, config.num_groups * config.head_dim
        inner = config.ffn_hidden_size * (3 if config.gated else 2)
        per_token = 2 * hidden * (2 * hidden + 2 * kv + 2 * hidden + inner)
        pairs = self.size**2 * sum(stop - start for start, stop in self.keys)
        layers = config.num_layers
        return layers * self.chunks * self.size * per_token, layers * 4 * pairs * config.num_heads * config.head_dim


def random_vae(dtype: torch.dtype) -> ViTVAE:
    """The official autoencoder with weights as it is initialised, on the GPU."""
    config = VAEConfig(16, 1024, 24, 16, qkv_bias=True, ln_in_attn=True)
    torch.manual_seed(0)
    with torch.device("cuda"):
        return ViTVAE(config, dtype=dtype).requires_grad_(False).eval()


def vae_flops(config: VAEConfig, tile: TileSettings, width: int, height: int, frames: int = 24) -> float:
    """Operations of blocks and attention in all tiles of a chunk, as the codec cuts it; the same both ways."""
    axes, total = decode_axes(tile, config), 0.0
    sizes = (frames // config.patch_length, height // config.patch_size, width // config.patch_size)
    lengths = [
        [min(axis.tile, size - i * axis.stride) for i in range(axis.count(size))]
        for axis, size in zip(axes, sizes, strict=True)
    ]
    per_token = 2 * config.embed_dim**2 * (4 + 2 * config.mlp_ratio)
    for t, h, w in product(*lengths):
        tokens = t * h * w + int(config.with_cls_token)
        total += config.depth * (tokens * per_token + 4 * tokens**2 * config.embed_dim)
    return total
