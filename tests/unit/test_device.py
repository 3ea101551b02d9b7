"""A host may keep weights elsewhere: what a module reads by itself follows its input. "meta" is elsewhere here."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from magi_core.dit.fp8 import Fp8Linear
from magi_core.dit.layers import LayerNorm1p, make_linear, project_fp32
from magi_core.dit.rope import RotaryEmbedding
from magi_core.kernels.fused import multiply_fp32
from magi_core.loading import load, locate
from tools.small_models import tiny_dit, tiny_vae

ELSEWHERE = torch.device("meta")


@pytest.mark.parametrize("make", [lambda: tiny_dit(), lambda: tiny_vae().model], ids=["DiT", "VAE"])
def test_a_model_works_where_its_weights_are_unless_a_host_says_otherwise(make) -> None:
    model = make()
    assert model.device == torch.device("cpu")
    try:
        model.device = ELSEWHERE
        assert model.device == ELSEWHERE
        assert next(model.parameters()).device.type == "cpu"
    finally:
        model.device = None


def test_parameters_follow_the_input() -> None:
    norm = LayerNorm1p(8, 1e-6)
    assert norm(torch.empty(2, 8, device=ELSEWHERE)).device == ELSEWHERE
    sine, cosine = RotaryEmbedding(16)(torch.arange(3, device=ELSEWHERE), 2, 2)
    assert sine.device == cosine.device == ELSEWHERE
    token, grid = tiny_vae().model.encoder.positions((1, 2, 2), ELSEWHERE)
    assert token.device == grid.device == ELSEWHERE


def test_fp8_scales_follow_the_input() -> None:
    layer = Fp8Linear(16, 32, per_channel=True)
    weight = torch.empty(1, 32, 16, dtype=torch.float8_e4m3fn, device=ELSEWHERE)
    assert layer.multiply(torch.empty(3, 16, device=ELSEWHERE), weight).shape == (3, 32)


def test_a_host_brings_its_own_layers() -> None:
    class Wide(nn.Linear):
        def project_fp32(self, x: torch.Tensor) -> torch.Tensor:
            return multiply_fp32(x, self.weight) + 1

    class Quantised(Fp8Linear): ...

    class operations:  # noqa: N801
        Linear, Fp8Linear = Wide, Quantised

    linear = make_linear(4, 6, operations, False, per_channel=False)
    x = torch.randn(2, 4)
    torch.testing.assert_close(project_fp32(linear, x), x @ linear.weight.t() + 1)
    assert type(make_linear(4, 6, operations, True, per_channel=True)) is Quantised
    assert type(make_linear(4, 6, nn, True, per_channel=True)) is Fp8Linear


def test_encoders_can_be_left_out_and_files_be_given() -> None:
    engine = load(locate("nano"), device="cpu", encoders=False)
    assert engine.vae is None and engine.text_encoder is None
    assert engine.special_tokens is not None
    whole = load("nano", device="cpu")
    assert engine.settings == whole.settings and engine.fingerprint == whole.fingerprint
    assert whole.vae is not None and whole.text_encoder is not None
