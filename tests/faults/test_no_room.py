"""Memory that runs out at any stage: said in one line, finished chunks kept, all given back, the next run whole."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
import torch

import magi_core.loading
from magi_core import load_state
from magi_core.cache.engine_cache import EngineCache
from magi_core.cli.main import main
from magi_core.video import read_video
from tools.faults.render import STEPS, TAKE, VIDEO
from tools.small_models import tiny_engine

SIZE = ["--width", 32, "--height", 32]
PROMPTS = ["red", "blue", "green"]
KINDS = {
    "of a GPU": (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB"),
    "of the CPU": (RuntimeError, "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    "of Python": (MemoryError, ""),
}


class Short:
    """Wraps a function: its call `number` (from 0) finds no room, and so do all after it, until `enough`."""

    def __init__(self, plain, number, kind="of a GPU"):
        self.plain, self.number, self.kind, self.calls, self.enough = plain, number, KINDS[kind], 0, False

    def __call__(self, *given, **named):
        self.calls += 1
        if self.calls > self.number and not self.enough:
            error, words = self.kind
            raise error(words)
        return self.plain(*given, **named)


class Counting:
    """A host that counts what it was given back."""

    released = 0

    def loaded_for(self, need):
        pass

    def room(self):
        return None

    def fits(self, need):
        return True

    def spare(self, need):
        return None

    def release(self, kept):
        self.released += 1

    def cancelled(self):
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_loading_a_model_that_does_not_fit_is_one_line(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(magi_core.loading, "read_dit", Short(None, 0, kind))
    assert main(["render", "red", "--width", "64", "--height", "64", "--out", VIDEO]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", range(2))
def test_no_room_to_encode_a_prompt(command, capsys, number):
    engine = tiny_engine(steps=STEPS)
    encode = Short(engine.text_encoder.encode, number)
    engine.text_encoder.encode = encode
    assert command("render", *PROMPTS, *SIZE, "--out", VIDEO, "--save", TAKE, engine=engine) == 2
    assert "not enough memory" in capsys.readouterr().err and os.listdir() == []


@pytest.mark.parametrize("number", [0, 3, 4, 7, 8])
def test_no_room_to_sample_keeps_finished_chunks_and_gives_everything_back(command, monkeypatch, capsys, number):
    whole = tiny_engine(steps=STEPS)
    whole = whole.extend(whole.begin(width=32, height=32), PROMPTS)
    host = Counting()
    engine = tiny_engine(steps=STEPS).copy(host=host)
    forward = Short(engine.dit.forward, number)
    monkeypatch.setattr(engine.dit, "forward", forward)
    assert command("render", *PROMPTS, *SIZE, "--out", VIDEO, "--save", TAKE, engine=engine) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("magi: there is not enough memory") and "Traceback" not in said.err
    assert host.released == 1
    finished = load_state(TAKE).finished if os.path.exists(TAKE) else 0
    if finished:
        assert torch.equal(load_state(TAKE).latents, whole.latents_between(0, finished))
        assert f"saved {TAKE}" in said.out and len(read_video(VIDEO).frames) == 24 * finished
    assert set(os.listdir()) == ({TAKE, VIDEO} if finished else set())
    forward.enough = True
    assert torch.equal(engine.extend(engine.begin(width=32, height=32), PROMPTS).latents, whole.latents)


def test_a_failed_attempt_leaves_no_tensors(monkeypatch):
    engine, seen = tiny_engine(steps=STEPS), []
    forward = Short(engine.dit.forward, 5)

    def watched(latents, *rest, **named):
        seen.append(weakref.ref(latents))
        return forward(latents, *rest, **named)

    monkeypatch.setattr(engine.dit, "forward", watched)
    with pytest.raises(torch.OutOfMemoryError):
        engine.extend(engine.begin(width=32, height=32), PROMPTS)
    gc.collect()
    assert len(seen) == 6 and not [latents for latents in seen if latents() is not None]


def test_no_room_for_a_page_on_the_device_leaves_it_on_the_host(monkeypatch):
    cache = EngineCache("cpu", device_bytes=1 << 20, host_bytes=1 << 20)
    engine = tiny_engine(steps=STEPS).copy(cache=cache)
    made = engine.extend(engine.begin(width=32, height=32), PROMPTS)
    engine.extend(made, "blue")  # makes the pages
    cache.pages.release_device()
    held = cache.pages.host_stats.bytes
    upload = Short(cache.pages._uploaded, 0)
    monkeypatch.setattr(cache.pages, "_uploaded", upload)
    with pytest.raises(torch.OutOfMemoryError):
        engine.extend(made, "red")
    assert cache.pages.host_stats.bytes == held > 0
    upload.enough = True
    fresh = tiny_engine(steps=STEPS)
    whole = fresh.extend(made, "red")
    assert torch.allclose(engine.extend(made, "red").latents, whole.latents, atol=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_no_room_to_decode_keeps_the_chunks_in_the_take(command, monkeypatch, capsys, number):
    engine = tiny_engine(steps=STEPS)
    decode = Short(engine.vae.model.decode, number)
    monkeypatch.setattr(engine.vae.model, "decode", decode)
    assert command("render", *PROMPTS, *SIZE, "--out", VIDEO, "--save", TAKE, engine=engine) == 2
    assert "not enough memory" in capsys.readouterr().err
    assert load_state(TAKE).finished >= 1 and set(os.listdir()) <= {TAKE, VIDEO}
    decode.enough = True
    assert command("extend", TAKE, "--out", VIDEO, engine=engine) == 0
    assert len(read_video(VIDEO).frames) == 3 * 24


def test_no_room_to_encode_an_image_is_said_before_anything_is_written(command, monkeypatch, capsys):
    from PIL import Image

    Image.new("RGB", (32, 32)).save("start.png")
    engine = tiny_engine(steps=STEPS)
    monkeypatch.setattr(engine.vae.model, "encode", Short(engine.vae.model.encode, 0))
    assert command("render", "red", *SIZE, "--image", "start.png", "--out", VIDEO, engine=engine) == 2
    assert "not enough memory" in capsys.readouterr().err and os.listdir() == ["start.png"]
