"""Operations are counted as the reference's own were: figures of its speed stand beside those of the same work."""

from __future__ import annotations

import pytest
import torch

from benchmarks.official import SteadyForward, official_config, random_weights, vae_flops
from magi_core.attention.sdpa import sdpa
from magi_core.cache.page_pool import PagePool
from magi_core.dit import DiT
from magi_core.vae import TileSettings, VAEConfig


@pytest.mark.parametrize(("chunks", "linear", "attended"), [(5, 494, 925), (6, 593, 987)])
def test_a_forward_of_the_4_5b_model_has_the_references_operations(chunks: int, linear: int, attended: int) -> None:
    counted = SteadyForward(chunks, 720, 720).flops(official_config("4.5B"))
    assert [round(count / 1e12) for count in counted] == [linear, attended]


@pytest.mark.parametrize("chunks", [5, 6])
@torch.no_grad()
def test_a_forward_is_the_same_wherever_its_page_is(chunks: int) -> None:
    dit, steady = random_weights(DiT(official_config("tiny"))), SteadyForward(chunks, 32, 48)
    streamed = PagePool(torch.device("cpu"), 0).streamed(dit.config.num_layers)
    velocities = [steady.of(dit, sdpa, where)()[0] for where in (None, streamed)]
    assert torch.equal(*velocities) and streamed.nbytes


@pytest.mark.parametrize(("width", "height", "count"), [(720, 720, 67.5), (480, 832, 53.6)])
def test_a_chunk_through_the_vae_has_the_references_operations(width: int, height: int, count: float) -> None:
    official = VAEConfig(16, 1024, 24, 16, qkv_bias=True, ln_in_attn=True)
    assert vae_flops(official, TileSettings(), width, height) / 1e12 == pytest.approx(count, abs=0.05)
