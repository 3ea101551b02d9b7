"""Encoding and decoding in overlapping tiles, one slab of time after the other.

The arithmetic is the reference's, so that official weights give the reference's pictures: tile k of an axis starts at
k * stride, and tiles are blended linearly over their overlap in the order time, vertical, horizontal. Encoding blends
with neighbours that have been blended already, decoding with neighbours as they came out of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.vae.config import VAEConfig

Grid = list[list[Tensor]]
TileFunction = Callable[[Tensor], Tensor]
"""Codes tiles `[n * B, C, T, H, W]`, n of the same shape one after the other."""


@dataclass(frozen=True)
class TileSettings:
    """Size of tiles in pixels and video frames, and how much of it neighbours share (0.25 = a quarter).

    The defaults are the reference's at 24 fps. A dimension smaller than a tile is simply one tile.
    """

    height: int = 256
    width: int = 256
    frames: int = 12
    spatial_overlap: float = 0.25
    temporal_overlap: float = 0.0

    def __post_init__(self) -> None:
        for name, overlap in (("spatial", self.spatial_overlap), ("temporal", self.temporal_overlap)):
            if not 0 <= overlap < 1:
                raise MagiError(f"the {name} overlap of tiles must be at least 0 and below 1: {overlap}")


@dataclass(frozen=True)
class Axis:
    """Tiling of one dimension. tile, stride: in units of what goes in; blend, keep: of what comes out."""

    tile: int
    stride: int
    blend: int
    keep: int

    def count(self, size: int) -> int:
        """Tiles for `size`; the last may lie wholly inside the one before, as in the reference."""
        return -(-size // self.stride)


Axes = tuple[Axis, Axis, Axis]


def encode_axes(settings: TileSettings, config: VAEConfig) -> Axes:
    """Axes (time, height, width) from pixels to latents."""

    def axis(tile: int, overlap: float, patch: int) -> Axis:
        latents = tile // patch
        blend = int(latents * overlap)
        return Axis(tile, int(tile * (1 - overlap)), blend, latents - blend)

    return _axes(settings, config, axis)


def decode_axes(settings: TileSettings, config: VAEConfig) -> Axes:
    """Axes (time, height, width) from latents to pixels."""

    def axis(tile: int, overlap: float, patch: int) -> Axis:
        latents = tile // patch
        blend = int(latents * patch * overlap)
        return Axis(latents, int(latents * (1 - overlap)), blend, latents * patch - blend)

    return _axes(settings, config, axis)


def _axes(settings: TileSettings, config: VAEConfig, axis: Callable[[int, float, int], Axis]) -> Axes:
    return (
        axis(settings.frames, settings.temporal_overlap, config.patch_length),
        axis(settings.height, settings.spatial_overlap, config.patch_size),
        axis(settings.width, settings.spatial_overlap, config.patch_size),
    )


def check_settings(settings: TileSettings, config: VAEConfig) -> None:
    """Tiles must begin and overlap at whole latents, or the picture would shift from tile to tile: else `MagiError`."""
    for name, tile, overlap, patch in (
        ("height", settings.height, settings.spatial_overlap, config.patch_size),
        ("width", settings.width, settings.spatial_overlap, config.patch_size),
        ("frames", settings.frames, settings.temporal_overlap, config.patch_length),
    ):
        if not _fits(tile, overlap, patch):
            better = [n for n in range(patch, 2 * tile + 64 * patch, patch) if _fits(n, overlap, patch)]
            nearest = min(better, key=lambda n: abs(n - tile), default=None)
            raise MagiError(
                f"tile {name} and its overlap ({overlap:g} of it) must be multiples of {patch}: {tile} -> use "
                + (f"{nearest}" if nearest else "another overlap, such as 0.25")
            )


def _fits(tile: int, overlap: float, patch: int) -> bool:
    latents = tile // patch
    shared = int(latents * overlap)
    whole = tile >= patch and tile % patch == 0 and shared == latents * overlap
    return (
        whole
        and int(latents * (1 - overlap)) + shared == latents
        and int(tile * (1 - overlap)) + shared * patch == tile
    )


def smaller(settings: TileSettings, config: VAEConfig, height: int, width: int) -> TileSettings | None:
    """About half the tile for a picture of height x width pixels, for when memory runs out; None if none is left."""
    patch, overlap = config.patch_size, settings.spatial_overlap
    largest = max(min(settings.height, height), min(settings.width, width))
    fitting = (n for n in range(largest // 2, 4 * patch - 1, -1) if _fits(n, overlap, patch))
    side = next(fitting, None)
    if side is None:
        return None
    return replace(settings, height=min(settings.height, side), width=min(settings.width, side))


def tiles_together(settings: TileSettings, config: VAEConfig, tokens: int) -> int:
    """How many whole tiles have `tokens` tokens in all, at most; at least one."""
    per_tile = settings.frames // config.patch_length
    for side in (settings.height, settings.width):
        per_tile *= side // config.patch_size
    return max(1, tokens // max(1, per_tile))


def slabs(
    x: Tensor,
    axes: Axes,
    code: TileFunction,
    *,
    device: torch.device,
    chained: bool,
    at_once: int = 1,
    first: int = 0,
    only: range | None = None,
    filled: int = 0,
) -> Iterator[Tensor]:
    """Code `x` `[B, C, T, H, W]` slab by slab along time; only one slab (and its predecessor's tiles) is held.

    device: where tiles are coded and blended.
    chained: blend with blended neighbours (encoding), else with raw ones (decoding).
    at_once: tiles of one slab and of the same shape that are coded together, at most. Never those of several slabs, so
    that a slab's bits do not depend on which others are coded.
    first: absolute index of x's first frame. Slab k begins at frame k * stride of the whole video, whatever part of
    it x is; where x begins in the middle of a slab, the part that x has is coded.
    only: absolute indexes of the slabs wanted (decoding), all by default. A predecessor to blend with is coded too.
    filled: repeats of x's first frame that are coded in front of it; only as many as a slab needs are made.
    Yields float32 slabs that concatenate along time; each is final, whatever follows.
    """
    time = axes[0]
    wanted = only if only is not None else range(first // time.stride, time.count(first + filled + x.shape[2]))
    before: Grid | None = None
    if time.blend and wanted.start > first // time.stride:
        before = _code_slab(x, axes, code, device, at_once, wanted.start - 1, first, filled)
    for index in wanted:
        raw = _code_slab(x, axes, code, device, at_once, index, first, filled)
        slab, blended = _merge(raw, before, axes, chained)
        before = None if not time.blend else blended if chained else raw
        del raw, blended  # whoever takes the slab, and the next one, have their room
        cut = max(first - index * time.stride, 0)  # frames of this slab that lie before x
        yield slab[:, :, : time.keep - cut * time.keep // time.stride]
        del slab


def _code_slab(
    x: Tensor, axes: Axes, code: TileFunction, device: torch.device, at_once: int, index: int, first: int, filled: int
) -> Grid:
    """All tiles of one slab, coded but not blended: rows of columns."""
    time, rows, columns = axes
    begin = index * time.stride - first - filled
    slab = x[:, :, max(begin, 0) : begin + time.tile].to(device)
    if filled and begin < 0:
        slab = torch.cat([slab[:, :, :1].expand(-1, -1, -begin, -1, -1), slab], dim=2)
    tiles = {
        (i, j): slab[:, :, :, i : i + rows.tile, j : j + columns.tile]
        for i in _starts(rows, x.shape[3])
        for j in _starts(columns, x.shape[4])
    }
    coded: dict[tuple[int, int], Tensor] = {}
    for together in _batches(tiles, at_once):
        out = code(torch.cat([tiles[place] for place in together]) if len(together) > 1 else tiles[together[0]])
        coded.update(zip(together, out.float().chunk(len(together)), strict=True))
    return [[coded[i, j] for j in _starts(columns, x.shape[4])] for i in _starts(rows, x.shape[3])]


def _batches(tiles: dict[tuple[int, int], Tensor], at_once: int) -> Iterator[list[tuple[int, int]]]:
    """Places of tiles of the same shape, `at_once` at most, as evenly as that goes."""
    by_shape: dict[torch.Size, list[tuple[int, int]]] = {}
    for place, tile in tiles.items():
        by_shape.setdefault(tile.shape, []).append(place)
    for places in by_shape.values():
        count = -(-len(places) // at_once)
        borders = [len(places) * i // count for i in range(count + 1)]
        yield from (places[begin:end] for begin, end in pairwise(borders))


def _starts(axis: Axis, size: int) -> range:
    return range(0, axis.count(size) * axis.stride, axis.stride)


def _merge(raw: Grid, before: Grid | None, axes: Axes, chained: bool) -> tuple[Tensor, Grid]:
    """Blend a slab's tiles with their neighbours; the slab in one piece, and the blended tiles."""
    time, rows, columns = axes
    blended: Grid = []
    for i, row in enumerate(raw):
        blended.append([])
        source = blended if chained else raw
        for j, tile in enumerate(row):
            if before is not None:
                tile = blend(before[i][j], tile, 2, time.blend)
            if i > 0:
                tile = blend(source[i - 1][j], tile, 3, rows.blend)
            if j > 0:
                tile = blend(source[i][j - 1], tile, 4, columns.blend)
            blended[i].append(tile)
    cropped = [[tile[:, :, :, : rows.keep, : columns.keep] for tile in row] for row in blended]
    return torch.cat([torch.cat(row, dim=4) for row in cropped], dim=3), blended


def blend(before: Tensor, tile: Tensor, dim: int, extent: int) -> Tensor:
    """A copy of `tile` whose first `extent` entries along `dim` fade in from the last ones of `before`."""
    extent = min(extent, before.shape[dim], tile.shape[dim])
    if extent == 0:
        return tile
    fading, rising = (
        weight.view([-1] + [1] * (tile.ndim - 1 - dim)) for weight in _fade(extent, tile.dtype, tile.device)
    )
    old = before.narrow(dim, before.shape[dim] - extent, extent)
    head = old * fading + tile.narrow(dim, 0, extent) * rising
    return torch.cat((head, tile.narrow(dim, extent, tile.shape[dim] - extent)), dim=dim)


@cache
def _fade(extent: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is kept of the tile before, and what the tile has, at each of `extent` places."""
    rising = (torch.arange(extent, device=device, dtype=torch.float64) / extent).to(dtype)
    return 1 - rising, rising
