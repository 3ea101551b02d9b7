"""ComfyUI's layers: weights that wait elsewhere are fetched once for a block, in however many pieces it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from magi_core.attention.sdpa import sdpa
from magi_core.dit import DiT, TextAttention, WindowAttention
from magi_core.dit import pieces as cutting
from tools.small_models import random_dit

CHUNKS = 3


def velocity(dit: DiT) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    text = [dit.text_context(torch.randn(4, 16, generator=generator)) for _ in range(CHUNKS)]
    latents, frames = torch.randn(1, 16, 6 * CHUNKS, 8, 8, generator=generator), torch.arange(6 * CHUNKS)
    window = WindowAttention(sdpa, [(0, i + 1) for i in range(CHUNKS)])
    with torch.no_grad():
        cross = TextAttention(sdpa, text)
        return dit(latents, torch.linspace(0.8, 0.1, CHUNKS)[None], cross, frames=frames, attend=window, dropped=False)


@pytest.mark.parametrize("fp8", [False, True], ids=["plain", "fp8"])
def test_a_block_in_pieces_fetches_its_weights_once(
    part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, fp8: bool
) -> None:
    """Weights come in one buffer, which the next layer's weights overwrite."""
    import comfy.ops

    expected, fetched, buffer = (
        velocity(random_dit(fp8)),
        Counter[nn.Module](),
        torch.zeros(1 << 16, dtype=torch.uint8),
    )

    def fetch(layer: nn.Module, *_: Any, **__: Any) -> tuple[Any, Any, None]:
        fetched[layer] += 1
        buffer.fill_(255)  # no number in any format
        out, at = [], 0
        for parameter in (layer.weight, layer.bias):
            place = None if parameter is None else buffer[at : at + parameter.nbytes].view(parameter.dtype)
            out.append(None if place is None else place.view(parameter.shape).copy_(parameter))
            at += 0 if parameter is None else -(-parameter.nbytes // 16) * 16
        return out[0], out[1], None

    monkeypatch.setattr(comfy.ops, "cast_bias_weight", fetch)
    monkeypatch.setattr(cutting, "FEWEST", 1)
    dit = random_dit(fp8, part("host.layers").COMFYUI)
    assert (velocity(dit) - expected).norm() <= 1e-5 * expected.norm()
    block = dit.videodit_blocks.layers[1]
    layers = [layer for layer in block.modules() if layer in fetched]
    assert len(layers) >= 8
    texts = {block.self_attention.k_layernorm_xattn, block.self_attention.linear_kv_xattn}
    assert {fetched[layer] for layer in layers if layer not in texts} == {1}
