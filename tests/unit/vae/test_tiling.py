"""Tiles overlap, blend and shrink without a trace in the picture."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from magi_core.errors import MagiError
from magi_core.vae import TileSettings, VAEConfig
from magi_core.vae.tiling import blend, decode_axes, smaller
from tests.unit.vae.small_vae import CONFIG, PATCH, codec, latents


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.sampled_from([0.0, 0.25, 0.5]))
def test_tiles_of_a_pointwise_model_give_back_the_picture(h: int, w: int, t: int, overlap: float) -> None:
    """Where coding a tile does not depend on its surroundings, blending must change nothing."""
    vae = codec(TileSettings(16, 16, 8, overlap, 0.5 if overlap else 0.0))
    fake = {"config": CONFIG, "parameters": vae.model.parameters, "device": vae.device}
    vae.model = SimpleNamespace(**fake, encode=pool, decode=spread)
    z = latents(t, h, w)
    assert torch.allclose(vae.tiled_decode(z), spread(z), atol=1e-6)
    assert torch.allclose(vae.tiled_encode(spread(z)), z, atol=1e-5)


def pool(video: Tensor) -> Tensor:
    return nn.functional.avg_pool3d(video, (4, PATCH, PATCH))


def spread(z: Tensor, quirks: bool = False) -> Tensor:
    return z.repeat_interleave(4, 2).repeat_interleave(PATCH, 3).repeat_interleave(PATCH, 4)


def test_blend_fades_linearly_and_leaves_its_inputs_alone() -> None:
    before, tile = torch.zeros(1, 1, 1, 1, 8), torch.ones(1, 1, 1, 1, 8)
    assert blend(before, tile, 4, 4).flatten().tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert before.sum() == 0 and tile.sum() == 8


def test_default_tiles_are_the_references() -> None:
    time, height, _ = decode_axes(TileSettings(), VAEConfig(16, 1024, 24, 16))
    assert (time.tile, time.stride, height.tile, height.stride, height.blend) == (3, 3, 32, 24, 64)


@pytest.mark.parametrize("tile", [TileSettings(18, 16), TileSettings(16, 16, 10), TileSettings(20, 16)])
def test_tiles_between_latents_are_refused_with_a_size_that_works(tile: TileSettings) -> None:
    with pytest.raises(MagiError, match=r"multiples of 4: \d+ -> use (16|12|8)"):
        codec(tile).decode(latents(1))


def test_tiles_shrink_from_the_size_of_the_picture() -> None:
    official = VAEConfig(16, 1024, 24, 16)
    sizes, tile = [], TileSettings()
    while tile := smaller(tile, official, 720, 720):
        sizes.append((tile.height, tile.width))
    assert sizes == [(128, 128), (64, 64), (32, 32)]
    assert smaller(TileSettings(), official, 128, 128) == TileSettings(64, 64)
