"""How much memory the VAE needs beside its weights: what is alive at the widest points of decoding, counted."""

from __future__ import annotations

from math import prod

from magi_core.device import FP32
from magi_core.vae import tiling
from magi_core.vae.config import VAEConfig
from magi_core.vae.tiling import TileSettings

MARGIN = 1.04  # small tensors and the allocator's rounding


def vae_bytes(
    config: VAEConfig,
    tile: TileSettings,
    *,
    width: int,
    height: int,
    frames: int,
    itemsize: int,
    at_once: int = 1,
    fused: bool = False,
    encoding: bool = False,
) -> int:
    """Decoding `frames` frames of a size in pixels, or `encoding` them, `at_once` tiles of one shape together.

    fused: whether it computes in the fast forms of `magi_core.kernels`. Either the last of the largest tiles are
    coded, with the others of them there, or the tiles become a whole picture.
    """
    length = min(-(-frames // config.patch_length) * config.patch_length, tile.frames)
    rows, columns = _sides(tile, config, height, width)
    depth = length * config.in_chans * FP32
    tiles, first, whole = sum(rows) * sum(columns) * depth, rows[0] * columns[0] * depth, height * width * depth
    largest = rows.count(rows[0]) * columns.count(columns[0])  # tiles of the first one's shape, which come first
    together = min(at_once, largest)
    per_frame = rows[0] * columns[0] // config.patch_size**2
    tokens = per_frame * length // config.patch_length + int(config.with_cls_token)
    shape = (length // config.patch_length, rows[0] // config.patch_size, columns[0] // config.patch_size)
    block = max(_block_bytes(config, itemsize, fused), _unpacked_bytes(config, itemsize))
    coded = together * tokens * block + _position_bytes(config, shape, itemsize)
    others = (largest - together) * first
    if encoding:  # the frames of a slab, and those of the tiles at work in float32 and as they go in
        pixels = first // FP32 * (itemsize + (FP32 if itemsize < FP32 else 0))
        coded = together * (tokens * _block_bytes(config, itemsize, fused) + pixels)
        return int(MARGIN * (whole + coded + _position_bytes(config, shape, itemsize)))
    handed_out = whole // FP32 if frames > length else 0  # the frames before, in bytes
    return int(MARGIN * (handed_out + max(others + coded, tiles + (tiles - first) + 2 * whole, 3 * whole)))


def _sides(tile: TileSettings, config: VAEConfig, height: int, width: int) -> tuple[list[int], list[int]]:
    """Pixels of the tiles of a column, and of those of a row."""
    _, down, across = tiling.decode_axes(tile, config)
    patch, found = config.patch_size, []
    for axis, size in ((down, height // config.patch_size), (across, width // config.patch_size)):
        starts = range(0, axis.count(size) * axis.stride, axis.stride)
        found.append([patch * min(axis.tile, size - start) for start in starts])
    return found[0], found[1]


def _block_bytes(config: VAEConfig, itemsize: int, fused: bool) -> int:
    """A token of a block: in its MLP or its attention, whichever is wider; what came into the block, and into the first
    of them, is there as well."""
    inner = config.mlp_ratio
    mlp = (4 + max(inner + 1, inner if fused else 2 * inner)) * itemsize
    attention = 8.0 * itemsize
    if config.ln_in_attn and not fused:  # queries, keys and values pass through float32
        wide = 3 * FP32 + 3 * itemsize if itemsize < FP32 else 0
        attention = 5 * itemsize + 6 * FP32 + wide
    return int(config.embed_dim * max(mlp, attention))


def _position_bytes(config: VAEConfig, shape: tuple[int, int, int], itemsize: int) -> int:
    """The learned positions in float32, and those of another grid."""
    learned, own = prod(config.grid), prod(shape)
    table = learned + int(config.with_cls_token) if itemsize < FP32 else 0
    return config.embed_dim * FP32 * (table + (own if shape != config.grid else 0))


def _unpacked_bytes(config: VAEConfig, itemsize: int) -> int:
    """A token that becomes pixels: widened, unpacked, three channels of them, those in float32."""
    pixels = config.patch_volume * config.in_chans * (itemsize + (FP32 if itemsize < FP32 else 0))
    return 2 * config.unpatch_width * itemsize + pixels
