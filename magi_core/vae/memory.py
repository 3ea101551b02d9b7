"""How much memory the VAE needs beside its weights."""

from __future__ import annotations

from magi_core.device import FP32
from magi_core.vae.config import VAEConfig
from magi_core.vae.tiling import TileSettings


def vae_bytes(
    config: VAEConfig, tile: TileSettings, *, width: int, height: int, frames: int, itemsize: int, at_once: int = 1
) -> int:
    """Decoding `frames` frames of a size in pixels: `at_once` tiles through the model, one slab of tiles kept.
    Encoding takes less."""
    rows, columns = min(height, tile.height), min(width, tile.width)
    length = min(-(-frames // config.patch_length) * config.patch_length, tile.frames)
    tokens = length // config.patch_length * (rows // config.patch_size) * (columns // config.patch_size) + 1
    block = config.embed_dim * (5 * itemsize + 3 * FP32 + int(config.mlp_ratio * 2) * itemsize)
    pixels = rows * columns * length * config.unpatch_channels * (2 * itemsize + FP32)
    slab = 6 * width * height * length * config.in_chans * FP32  # overlapping tiles, their blends, the whole
    at_once = min(at_once, -(-width // columns) * -(-height // rows))
    return at_once * (tokens * block + pixels) + slab
