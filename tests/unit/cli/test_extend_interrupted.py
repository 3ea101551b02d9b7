"""Ctrl-C during `extend` keeps finished chunks in take and video, and says how to go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from magi_core import load_state
from tests.unit.cli.takes import STEPS, frames_in
from tools.small_models import tiny_engine


def test_ctrl_c_keeps_finished_chunks_in_take_and_video_and_says_how_to_go_on(command, take, capsys, monkeypatch):
    engine, stream = tiny_engine(steps=STEPS), type(tiny_engine()).run

    def interrupted(self, *arguments, **how):
        for count, state in enumerate(stream(self, *arguments, **how), start=1):
            yield state
            if count == 2:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(type(engine), "run", interrupted)
    prompts = [word for name in ("a", "b", "it's c", "it's c", "d") for word in ("--prompt", name)]
    assert command("extend", take, *prompts, "-o", "a.mp4", engine=engine) == 130
    assert [chunk.prompt for chunk in load_state(take).chunks] == ["red", "blue", "a", "b"]
    assert frames_in("a.mp4") == 96
    printed = capsys.readouterr()
    assert "wrote a.mp4: 2 of 5 chunks, 96 frames" in printed.out
    assert """extend take.magi --prompt 'it'"'"'s c' --chunks 2 --model model, and so on""" in printed.err


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
    assert "extend take.magi --prompt green --chunks 3" in printed.err
