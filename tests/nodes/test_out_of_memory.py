"""When memory runs out, the VAE goes on in smaller tiles and nodes say so; every other node ends in words."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from magi_core import load_state
from magi_core.errors import MagiError
from magi_core.writing.claim import Claim, is_claimed
from tools.small_models import WordEncoder

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


def test_no_room_to_load_a_model_is_said_in_words(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magi_core.loading.read_dit", _no_room)
    with pytest.raises(MagiError, match="not enough memory for this node"):
        run("MagiLoadModel", model="nano")


def test_no_room_to_encode_a_prompt_is_said_in_words(run: Any) -> None:
    encoder = WordEncoder()
    encoder.encode = _no_room
    with pytest.raises(MagiError, match="not enough memory for this node"):
        run("MagiTextEncode", text_encoder=encoder, prompt="red")


def test_no_room_to_sample_is_said_in_words_and_the_next_run_goes_on(
    run: Any, engine: Any, prompt: Any, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"model": engine, "conditioning": prompt("green"), "seed": 41, "chunks": 5, "autosave": "short", **SMALL}
    plain, calls = engine.dit.forward, []

    def forward(*rest: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(*rest, **named)

    monkeypatch.setattr(engine.dit, "forward", forward)
    with pytest.raises(MagiError, match="not enough memory for this: .*the next run goes on from there"):
        run("MagiChunkSampler", **given)
    monkeypatch.setattr(engine.dit, "forward", plain)
    path = part("host.take_folder").autosave_path("short")
    assert load_state(path).finished >= 1 and not is_claimed(path)
    assert run("MagiChunkSampler", **given).state.finished == 5


def test_another_run_that_saves_the_same_take_is_refused_before_sampling(
    run: Any, engine: Any, prompt: Any, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.dit, "forward", _no_room)
    with Claim(part("host.take_folder").autosave_path("taken")), pytest.raises(MagiError, match="by another run"):
        run("MagiChunkSampler", model=engine, conditioning=prompt("blue"), seed=43, autosave="taken", **SMALL)


def test_numbered_names_pass_by_those_that_are_being_written(run: Any, take: Any, vae: Any, part: Any) -> None:
    first, _ = part("decode_to_file")._new_file("passed by", 64, 64)
    with Claim(first), Claim(part("host.take_folder").new_take_path("passed by", 64, 64)) as claim:
        run("MagiDecodeToFile", vae=vae, state=take, filename_prefix="passed by")
        run("MagiSaveState", state=take, filename_prefix="passed by")
    assert not first.exists() and first.with_name("passed by_00002_.mp4").is_file()
    assert not claim.path.exists() and claim.path.with_name("passed by_00002_.magi").is_file()


def _no_room(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory")
