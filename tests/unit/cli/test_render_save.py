"""`render --save` keeps the take it shows, and a killed one can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
import torch

from magi_core import load_state
from magi_core.story.storyboard import parse_storyboard
from tests.unit.cli.takes import frames_in, latents_of
from tools.small_models import tiny_engine


def test_render_saves_the_take_it_shows(take):
    state = load_state(take)
    assert [chunk.prompt for chunk in state.chunks] == ["red", "blue"] and state.seed == 5
    assert torch.equal(state.latents, latents_of("red", "blue"))
    assert frames_in("first.mp4") == 48
    assert sorted(os.listdir()) == ["first.mp4", "model", "other", "take.magi"]


def test_a_take_is_never_replaced_by_another(command, take, capsys):
    before = take.read_bytes()
    assert command("render", "red", "--width", 32, "--height", 32, "--save", "take.magi") == 0
    said = capsys.readouterr().out
    assert "take.magi holds another take, which stays as it is: this one is saved as take_2.magi" in said
    assert "saved take_2.magi: 1 chunk" in said
    assert take.read_bytes() == before and load_state("take_2.magi").seed == 0


def test_what_is_no_take_is_never_replaced(command, capsys):
    Path("take.magi").write_text("notes of mine")
    assert command("render", "red", "--width", 32, "--height", 32, "--save", "take.magi") == 0
    assert Path("take.magi").read_text() == "notes of mine" and load_state("take_2.magi").finished == 1


def test_takes_have_their_own_suffix(command, capsys):
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
    if event.step == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
magi_core.cli.make._Progress.__call__ = until
sys.exit(main(["render", *"abcdef", "--width", "32", "--height", "32", "--model", ".", "--out", "a.mp4",
               "--save", "a.magi"], load=lambda *_, **__: tiny_engine(steps=8)))
"""


def broken_off(step: int, how: str = "SIGKILL") -> None:
    """A render of six chunks that is ended by a signal after so many forwards."""
    path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    words = [sys.executable, "-c", KILLED, str(step), how]
    ended = subprocess.run(words, env=environment, capture_output=True, timeout=120)
    assert ended.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130), ended.stderr


@pytest.fixture(scope="module")
def uninterrupted():
    engine = tiny_engine(steps=8)
    return engine.extend(engine.begin(width=32, height=32, total_chunks=6), list("abcdef"))


@pytest.mark.parametrize(("step", "how"), [(9, "SIGKILL"), (12, "SIGKILL"), (17, "SIGKILL"), (11, "SIGINT")])
def test_a_broken_off_render_goes_on_as_the_very_video_it_would_have_been(command, uninterrupted, step, how):
    broken_off(step, how)
    done = len(load_state("a.magi").chunks)
    assert 0 < done < 6
    assert command("extend", "a.magi", "-o", "a.mp4") == 0
    made = load_state("a.magi")
    assert torch.equal(made.latents, uninterrupted.latents)
    assert [chunk.key for chunk in made.chunks] == [chunk.key for chunk in uninterrupted.chunks]
    assert made.notes == ("the run that was broken off goes on",) and made.unfinished is None
    assert frames_in("a.mp4") == 144
    assert sorted(os.listdir()) == ["a.magi", "a.mp4", "model", "other"]


@pytest.mark.parametrize("step", [10, 14])
def test_the_same_render_again_goes_on_where_it_was_killed(command, capsys, uninterrupted, step):
    broken_off(step)
    left = load_state("a.magi").finished
    again = ("render", *"abcdef", "--width", 32, "--height", 32, "--out", "a.mp4", "--save", "a.magi")
    assert command(*again) == 0
    assert f"chunks 0{f'-{left - 1}' if left > 1 else ''} remembered" in capsys.readouterr().out
    assert torch.equal(load_state("a.magi").latents, uninterrupted.latents)
    assert sorted(os.listdir()) == ["a.magi", "a.mp4", "model", "other"]


def test_another_render_leaves_what_a_killed_one_had_finished(command):
    broken_off(12)
    left = load_state("a.magi")
    other = ("render", *"abcdef", "--width", 32, "--height", 32, "--seed", 1, "--out", "b.mp4", "--save", "a.magi")
    assert command(*other) == 0
    assert torch.equal(load_state("a.magi").latents, left.latents) and load_state("a_2.magi").seed == 1


def test_a_killed_render_can_be_gone_on_with(command, capsys):
    broken_off(12)
    assert frames_in("a.mp4") == 48
    with av.open("a.mp4") as container:
        assert parse_storyboard(container.metadata["storyboard"]).prompts == [*"abcdef"]
    assert command("info", "a.magi") == 0
    said = capsys.readouterr().out
    assert "a.magi: 2 chunks" in said
    assert "broken off: chunks 2-4 in flight, chunk 5 to come; asked for the same again" in said
    assert command("extend", "a.magi", "--prompt", "c", "-o", "b.mp4") == 0
    assert [chunk.prompt for chunk in load_state("a.magi").chunks] == ["a", "b", "c"]
    assert frames_in("b.mp4") == 72
    assert sorted(os.listdir()) == ["a.magi", "a.mp4", "b.mp4", "model", "other"]
