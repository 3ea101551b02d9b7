"""When memory runs out, the VAE goes on in smaller tiles and every node that uses it says so."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

NOTE = "out of memory: the VAE goes on in tiles of 32 x 32 pixels"
SMALL = {"width": 64, "height": 64, "steps": 4}


@pytest.fixture
def short_of_memory(vae: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The VAE wire; one tile of the whole picture does not fit."""
    model, tile = vae.codec.model, vae.codec.tile
    side = model.config.patch_size
    plain_encode, plain_decode = model.encode, model.decode

    def encode(frames: torch.Tensor, *rest: Any) -> Any:
        _check(max(frames.shape[-2:]))
        return plain_encode(frames, *rest)

    def decode(latents: torch.Tensor, *rest: Any) -> Any:
        _check(max(latents.shape[-2:]) * side)
        return plain_decode(latents, *rest)

    monkeypatch.setattr(model, "encode", encode)
    monkeypatch.setattr(model, "decode", decode)
    yield vae
    vae.codec.tile = tile


@pytest.fixture
def take(run: Any, engine: Any, prompt: Any) -> Any:
    return run("MagiChunkSampler", model=engine, conditioning=prompt("red"), seed=8, **SMALL)


@pytest.mark.parametrize("node", ["MagiVAEDecode", "MagiDecodeToFile", "MagiStateInfo"])
def test_decoding_goes_on_and_the_node_says_so(run: Any, take: Any, short_of_memory: Any, said: Any, node: str) -> None:
    run(node, vae=short_of_memory, state=take)
    assert any(NOTE in text for text in said())


def test_encoding_goes_on_and_the_node_says_so(run: Any, short_of_memory: Any, said: Any) -> None:
    run("MagiVAEEncode", vae=short_of_memory, image=torch.rand(1, 64, 64, 3), width=64, height=64)
    assert any(NOTE in text for text in said())


def test_under_core_nodes_the_log_says_so(short_of_memory: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        latents = short_of_memory.encode(torch.rand(4, 64, 64, 3))
        assert short_of_memory.decode(latents).shape == (1, 4, 64, 64, 3)
    assert NOTE in caplog.text


def _check(side: int) -> None:
    if side > 32:
        raise torch.OutOfMemoryError("CUDA out of memory")
