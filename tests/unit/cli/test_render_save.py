"""`render --save` keeps the take it shows, and a killed one can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import torch

from magi_core import load_state
from magi_core.story.storyboard import parse_storyboard
from tests.unit.cli.takes import frames_in, latents_of


def test_render_saves_the_take_it_shows(take):
    state = load_state(take)
    assert [chunk.prompt for chunk in state.chunks] == ["red", "blue"] and state.seed == 5
    assert torch.equal(state.latents, latents_of("red", "blue"))
    assert frames_in("first.mp4") == 48
    assert sorted(os.listdir()) == ["first.mp4", "model", "other", "take.magi"]


def test_a_take_is_never_replaced_by_a_render(command, take, capsys):
    before = take.read_bytes()
    assert command("render", "red", "--width", 32, "--height", 32, "--save", "take.magi") == 2
    assert "there is a take at take.magi already: choose another name" in capsys.readouterr().err
    assert take.read_bytes() == before
    assert command("render", "red", "--save", "take.mp4") == 2
    assert "takes are written as magi: take.mp4 -> use take.magi" in capsys.readouterr().err


KILLED = """
import os, signal, sys
import magi_core.cli.make
from magi_core.cli.main import main
from tools.small_models import tiny_engine
advance = magi_core.cli.make._Progress.__call__
def until(self, event):
    advance(self, event)
    if event.done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
magi_core.cli.make._Progress.__call__ = until
main(["render", *"abcdef", "--width", "32", "--height", "32", "--model", ".", "--out", "a.mp4", "--save", "a.magi"],
     load=lambda *_, **__: tiny_engine(steps=8))
"""


def test_a_killed_render_can_be_gone_on_with(command, capsys):
    path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert frames_in("a.mp4") == 48
    with av.open("a.mp4") as container:
        assert parse_storyboard(container.metadata["storyboard"]).prompts == [*"abcdef"]
    assert command("info", "a.magi") == 0
    assert "a.magi: 2 chunks" in capsys.readouterr().out
    assert command("render", "red", "--save", "a.magi") == 2
    assert command("extend", "a.magi", "--prompt", "c", "-o", "b.mp4") == 0
    assert [chunk.prompt for chunk in load_state("a.magi").chunks] == ["a", "b", "c"]
    assert frames_in("b.mp4") == 72
    assert sorted(os.listdir()) == ["a.magi", "a.mp4", "b.mp4", "model", "other"]
