"""The autoencoder as a module: it trains, keeps its float32 stream, takes layers from outside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magi_core.operations import Plain
from magi_core.vae import ViTVAE
from tests.unit.vae.small_vae import CONFIG, model


def test_the_module_trains_end_to_end() -> None:
    vae = model()
    vae.decode(vae.encode(torch.rand(2, 3, 12, 16, 16))).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())


def test_autocast_keeps_the_residual_stream_in_float32() -> None:
    vae, seen = model(), []
    vae.decoder.blocks[0].register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        vae.decode(vae.encode(torch.rand(1, 3, 4, 16, 16)).float())
    assert seen == [torch.float32]


def test_layers_and_attention_are_injected() -> None:
    calls = []

    class Linear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append("linear")
            return super().forward(x)

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append(f"attention{list(q.shape)}")
        return nn.functional.scaled_dot_product_attention(q, k, v)

    operations = Plain()
    operations.Linear = Linear
    ViTVAE(CONFIG, operations=operations, attention=attention).encode(torch.rand(1, 3, 4, 16, 16))
    assert calls == ["linear", "attention[1, 2, 17, 16]", "linear", "linear", "linear", "linear"]


def test_without_a_class_token_positions_still_resize() -> None:
    vae = model(with_cls_token=False)
    assert "encoder.cls_token" not in vae.state_dict()
    assert vae.decode(vae.encode(torch.rand(1, 3, 8, 12, 20))).shape == (1, 3, 8, 12, 20)
