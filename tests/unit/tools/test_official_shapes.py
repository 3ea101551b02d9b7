"""Operations are counted as the reference's own were: figures of its speed stand beside those of the same work."""

from __future__ import annotations

import pytest

from benchmarks.official import SteadyForward, official_config, vae_flops
from magi_core.vae import TileSettings, VAEConfig


@pytest.mark.parametrize(("chunks", "linear", "attended"), [(5, 494, 925), (6, 593, 987)])
def test_a_forward_of_the_4_5b_model_has_the_references_operations(chunks: int, linear: int, attended: int) -> None:
    counted = SteadyForward(chunks, 720, 720).flops(official_config("4.5B"))
    assert [round(count / 1e12) for count in counted] == [linear, attended]


@pytest.mark.parametrize(("width", "height", "count"), [(720, 720, 67.5), (480, 832, 53.6)])
def test_a_chunk_through_the_vae_has_the_references_operations(width: int, height: int, count: float) -> None:
    official = VAEConfig(16, 1024, 24, 16, qkv_bias=True, ln_in_attn=True)
    assert vae_flops(official, TileSettings(), width, height) / 1e12 == pytest.approx(count, abs=0.05)
