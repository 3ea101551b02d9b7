"""What is announced to a host is what is needed: never less than the measured peak, and not much more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakSet

import pytest
import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.cache.engine_cache import EngineCache
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit import DiT, KVPage, TextAttention, WindowAttention
from magi_core.dit.memory import chunk_tokens, forward_bytes, page_bytes, sampling_memory
from magi_core.sampling.forward import Predictor
from magi_core.text.memory import t5_bytes
from magi_core.vae import VAE, TileSettings, VAEConfig, ViTVAE
from magi_core.vae.memory import vae_bytes
from tests.peak_memory import PeakMemory
from tools.small_models import tiny_engine

OFFICIAL = DiTConfig(34, 3072, 12288, 24, 8, 128)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("inner", [512, 2048])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_forward_takes_what_is_announced(gated: bool, inner: int, dtype: torch.dtype) -> None:
    config = DiTConfig(2, 256, inner, 4, 2, 64, caption_channels=64, caption_max_length=80, gated=gated)
    dit = DiT(config, dtype=dtype).requires_grad_(False)
    chunks, side = 4, 16
    text = TextAttention(sdpa, [dit.text_context(torch.randn(80, 64))] * chunks)
    window = WindowAttention(sdpa, [(0, i + 1) for i in range(chunks)])
    latents = torch.randn(1, 16, 6 * chunks, side, side)
    with torch.no_grad(), PeakMemory() as memory:
        dit(latents, torch.rand(1, chunks), text, frames=torch.arange(6 * chunks), attend=window, dropped=False)
    announced = forward_bytes(config, chunks, chunk_tokens(config, side * 8, side * 8), dtype.itemsize)
    assert memory.peak <= announced <= 1.5 * memory.peak


def test_pages_are_counted_as_the_engine_makes_them() -> None:
    engine = tiny_engine(steps=4).copy(cache=EngineCache())
    engine.extend(engine.begin(width=32, height=32), "a ball", 3)
    kept = engine.cache.stats["pages"]
    page = page_bytes(engine.dit.config, chunk_tokens(engine.dit.config, 32, 32), 4)
    assert kept.entries and kept.bytes == page * kept.entries


@pytest.mark.parametrize("distill", [False, True])
def test_as_many_pages_are_announced_as_are_there_at_once(distill: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guided model has the newest chunk's twice, under either condition. None is kept between runs."""
    engine = tiny_engine(distill, steps=4, kv_ranges=(7, 6, 5, 4))
    engine = engine.copy(cache=EngineCache(device_bytes=0))
    pages, most, init, forward = WeakSet[KVPage](), [0], KVPage.__init__, Predictor._forward

    def counted(page: KVPage, *given: Any) -> None:
        init(page, *given)
        pages.add(page)

    def looking(*given: Any, **named: Any) -> list[Tensor]:
        most.append(len(pages))
        return forward(*given, **named)

    extension = engine.plan(engine.begin(width=32, height=32), "a ball", 8)
    monkeypatch.setattr(KVPage, "__init__", counted)
    monkeypatch.setattr(Predictor, "_forward", looking)
    *_, _made = engine.run(extension)
    assert extension.need.pages == max(most) * page_bytes(engine.dit.config, chunk_tokens(engine.dit.config, 32, 32), 4)


@pytest.mark.parametrize(("ranges", "pages"), [((5, 4, 3, 2), 5), ((), 20)])
def test_as_many_pages_as_are_looked_at(ranges: tuple[int, ...], pages: int) -> None:
    """Without ranges a chunk looks at everything before it."""
    size, settings = {"width": 720, "height": 720, "chunks": 20}, SamplingSettings(kv_ranges=ranges)
    page = page_bytes(OFFICIAL, chunk_tokens(OFFICIAL, 720, 720), 2)
    assert sampling_memory(OFFICIAL, settings, **size, itemsize=2).pages == pages * page


def test_the_official_model_is_announced_as_a_few_gigabytes() -> None:
    settings = SamplingSettings()
    announced = sampling_memory(OFFICIAL, settings, width=720, height=720, chunks=10, itemsize=2)
    assert 1e9 < announced.activations < 2e9  # 60,750 tokens in flight, of which 12,150 pass a block together
    assert announced.total < 11e9
    steady = sampling_memory(OFFICIAL, settings, width=720, height=720, chunks=10, itemsize=2, fused=True, pages=1)
    assert steady.total < 4e9 and steady.activations < announced.activations
    short = replace(settings, window=1)
    assert sampling_memory(OFFICIAL, short, width=720, height=720, chunks=10, itemsize=2).total < announced.total


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize(("width", "final_projection"), [(128, True), (512, False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("size", "tokens"), [((128, 128), 0), ((320, 192), 0), ((320, 192), 2000), ((128, 64), 0)])
def test_the_vae_takes_what_is_announced(standardised, width, final_projection, dtype, size, tokens) -> None:
    """Within a tenth, whichever is widest: a block, a tile that becomes pixels, tiles that become a picture."""
    shape = {"embed_dim": width, "use_final_proj": final_projection, "ln_in_attn": standardised}
    config = VAEConfig(z_chans=16, depth=1, num_heads=4, video_size=128, video_length=12, **shape)
    tile = TileSettings(128, 128, 12)
    vae = VAE(ViTVAE(config, dtype=dtype).requires_grad_(False), tile=tile, tokens=tokens)
    what = {"width": size[0], "height": size[1], "frames": 24, "itemsize": dtype.itemsize, "at_once": vae.at_once}
    announced = vae_bytes(config, tile, **what)
    with PeakMemory() as decoding:
        for _ in vae.decode(torch.randn(1, 16, 6, size[1] // 8, size[0] // 8)):
            pass
    assert 0.9 * decoding.peak <= announced <= 1.1 * decoding.peak
    frames = torch.rand(12, size[1], size[0], 3)
    with PeakMemory() as encoding:
        vae.encode(frames)
    assert encoding.peak <= vae_bytes(config, tile, **what, encoding=True)


def test_a_run_needs_room_for_the_decoding_of_a_chunk_beside_it() -> None:
    engine = tiny_engine()
    begun = engine.begin(width=320, height=192)
    need = engine.plan(begun, "a ball").need
    with PeakMemory() as decoding:
        for _ in engine.vae.decode(torch.randn(1, 16, 6, 24, 40)):
            pass
    assert decoding.peak <= need.frames <= 1.1 * decoding.peak
    assert engine.copy(vae=None).plan(begun, "a ball").need.total == need.total - need.frames


@pytest.mark.parametrize("length", [20, 400])
def test_a_prompt_takes_what_is_announced(length: int) -> None:
    from transformers import T5Config, T5EncoderModel

    shape = {"d_model": 256, "d_kv": 32, "d_ff": 640, "num_heads": 8}
    config = T5Config(vocab_size=100, num_layers=2, feed_forward_proj="gated-gelu", **shape)
    model = T5EncoderModel(config).eval().requires_grad_(False)
    with PeakMemory() as memory:
        model(input_ids=torch.zeros(1, length, dtype=torch.long))
    assert memory.peak <= t5_bytes(length, width=256, inner=640, heads=8) <= 2 * memory.peak


def test_texts_are_counted_as_long_as_prompts_can_be() -> None:
    """What is not encoded yet has no more tokens than letters; the null text has 50."""
    engine = tiny_engine()
    begun, config = engine.begin(width=32, height=32), engine.dit.config
    one = (begun.settings.window + 1) * 2 * config.num_layers * config.num_groups * config.head_dim * 4
    assert engine.plan(begun, "a ball").need.text == 50 * one
    assert engine.plan(begun, "ball " * 11).need.text == 57 * one  # 55 letters, one in front and one behind
    assert engine.plan(begun, "ball " * 100).need.text == config.caption_max_length * one
