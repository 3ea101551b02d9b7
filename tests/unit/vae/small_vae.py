"""A random autoencoder with patches of four pixels, and latents for it."""

from __future__ import annotations

import torch
from torch import Tensor

from magi_core.vae import VAE, TileSettings, VAEConfig, ViTVAE

PATCH = 4
DDCONFIG = {
    "z_chans": 3, "embed_dim": 32, "depth": 1, "num_heads": 2, "video_size": 16, "video_length": 12,
    "patch_size": PATCH, "patch_length": 4, "mlp_ratio": 2, "qkv_bias": True, "ln_in_attn": True,
    "conv_last_layer": True, "use_final_proj": True, "drop_rate": 0.0,
}  # fmt: skip
CONFIG = VAEConfig.from_json(DDCONFIG)
SMALL_TILES = TileSettings(height=16, width=16)  # stride 12: sizes above 12 take several tiles


def model(**changes: object) -> ViTVAE:
    torch.manual_seed(0)
    return ViTVAE(VAEConfig.from_json(DDCONFIG | changes))


def codec(tile: TileSettings = SMALL_TILES, **options: object) -> VAE:
    return VAE(model().requires_grad_(False), tile=tile, **options)


def latents(count: int, height: int = 5, width: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(1, 3, count, height, width, generator=torch.Generator().manual_seed(seed))


def decoded(vae: VAE, z: Tensor, *args: int, **options: int) -> Tensor:
    return torch.cat(list(vae.decode(z, *args, **options)))
