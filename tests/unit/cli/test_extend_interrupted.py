"""Ctrl-C during `extend` keeps finished chunks in take and video, and says how to go on."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import torch

from magi_core import load_state
from tests.unit.cli.takes import STEPS, frames_in, latents_of
from tools.small_models import tiny_engine


def interrupted_after(states: int, monkeypatch):
    """An engine at whose run Ctrl-C is pressed when it has yielded so many states."""
    engine, stream = tiny_engine(steps=STEPS), type(tiny_engine()).run

    def interrupted(self, *arguments, **how):
        for count, state in enumerate(stream(self, *arguments, **how), start=1):
            yield state
            if count == states:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(type(engine), "run", interrupted)
    return engine


def test_ctrl_c_keeps_finished_chunks_in_take_and_video_and_says_how_to_go_on(command, take, capsys, monkeypatch):
    given = replace(load_state(take), total_chunks=7)
    prompts = [word for name in ("a", "b", "it's c", "it's c", "d") for word in ("--prompt", name)]
    with monkeypatch.context() as patches:
        engine = interrupted_after(2, patches)
        assert command("extend", take, *prompts, "-o", "a.mp4", engine=engine) == 130
    assert [chunk.prompt for chunk in load_state(take).chunks] == ["red", "blue", "a", "b"]
    assert frames_in("a.mp4") == 96
    printed = capsys.readouterr()
    assert "wrote a.mp4: 2 of 5 chunks, 96 frames" in printed.out
    assert "to go on: python -m magi_core extend take.magi --model model -o a.mp4" in printed.err
    assert command("extend", take, "-o", "a.mp4") == 0
    assert [chunk.prompt for chunk in load_state(take).chunks] == ["red", "blue", "a", "b", "it's c", "it's c", "d"]
    assert torch.equal(load_state(take).latents, latents_of("a", "b", "it's c", "it's c", "d", begun=given))
    assert frames_in("a.mp4") == 7 * 24


def test_ctrl_c_before_a_new_chunk_leaves_the_take(command, take, capsys, monkeypatch):
    before = take.read_bytes()
    engine, stream = tiny_engine(steps=STEPS), type(tiny_engine()).run

    def interrupted(self, *arguments, **how):
        os.kill(os.getpid(), signal.SIGINT)
        yield from stream(self, *arguments, **how)

    monkeypatch.setattr(type(engine), "run", interrupted)
    assert command("extend", take, "--prompt", "green", "-o", "a.mp4", engine=engine) == 130
    assert "stopped before a new chunk was finished; nothing was written" in capsys.readouterr().err
    assert take.read_bytes() == before and not Path("a.mp4").exists()


def test_ctrl_c_twice_while_decoding_counts_the_chunk_that_the_take_has(command, take, capsys, monkeypatch):
    engine, decode = tiny_engine(steps=STEPS), type(tiny_engine()).decode

    def interrupted(self, state, *, start, stop):
        if start == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        yield from decode(self, state, start=start, stop=stop)

    monkeypatch.setattr(type(engine), "decode", interrupted)
    assert command("extend", take, "--prompt", "green", "--chunks", 5, "-o", "a.mp4", engine=engine) == 130
    assert len(load_state(take).chunks) == 4 and frames_in("a.mp4") == 72
    printed = capsys.readouterr()
    assert "saved take.magi: 4 chunks" in printed.out and "wrote a.mp4" in printed.out
    assert "extend take.magi --model model -o a.mp4" in printed.err


def test_ctrl_c_does_not_ask_again_for_chunks_that_are_in_flight(command, take, capsys, monkeypatch):
    assert command("extend", take, "--prompt", "green", "--chunks", 2, "--no-drain") == 0
    engine = interrupted_after(1, monkeypatch)
    prompts = [word for name in ("a", "b", "c", "d") for word in ("--prompt", name)]
    assert command("extend", take, *prompts, engine=engine) == 130
    state = load_state(take)
    begun = [chunk.at.spec.prompt for chunk in (*state.chunks, *state.pending)]
    left = ["a", "b", "c", "d"][len(begun) - 4 :]
    assert begun == ["red", "blue", "green", "green", "a", "b", "c", "d"][: len(begun)] and left
    assert f"extend take.magi --prompt {left[0]} --chunks 1 --model model" in capsys.readouterr().err
