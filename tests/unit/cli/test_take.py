"""Saved takes on the command line: saved while they are made, gone on with, looked into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from magi_core import load_state
from magi_core.cli.main import main
from magi_core.state import Autosave
from magi_core.story.storyboard import parse_storyboard
from magi_core.video import read_video
from tests.tiny import tiny_engine

STEPS = 8


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs a command with a small random model in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    engines = {"model": tiny_engine(steps=STEPS), "other": tiny_engine(True, steps=STEPS)}

    def run(name, *arguments, engine=None) -> int:
        model = () if "--model" in arguments or name == "info" else ("--model", "model")
        return main([name, *map(str, arguments), *model], load=lambda model, **_: engine or engines[model])

    return run


@pytest.fixture
def take(command) -> Path:
    """Two chunks of 32x32, saved by `render`."""
    size = ("--width", 32, "--height", 32, "--seed", 5)
    assert command("render", "red", "blue", *size, "--out", "first.mp4", "--save", "take.magi") == 0
    return Path("take.magi")


def latents_of(*prompts, begun=None, **how):
    engine = tiny_engine(steps=STEPS)
    begun = begun or engine.begin(width=32, height=32, seed=5, total_chunks=2)
    return engine.extend(begun, list(prompts), **how).latents


def close(a, b) -> bool:
    return a.shape == b.shape and ((a - b).norm() / b.norm()).item() < 1e-5


def frames_in(path) -> int:
    return len(read_video(path).frames)


# --- render --save -----------------------------------------------------------------------------------------


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
from tests.tiny import tiny_engine
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


# --- extend ------------------------------------------------------------------------------------------------


def test_extend_adds_chunks_to_the_take_and_shows_all_of_it(command, take, capsys):
    before = load_state(take)
    assert command("extend", take, "--prompt", "green", "--chunks", 2, "-o", "a.mp4") == 0
    state = load_state(take)
    assert [chunk.prompt for chunk in state.chunks] == ["red", "blue", "green", "green"]
    assert (before.total_chunks, state.total_chunks) == (2, 4)
    assert torch.equal(state.latents[:, :, :12], before.latents)
    assert close(state.latents, latents_of("green", "green", begun=before))
    assert frames_in("a.mp4") == 96
    printed = capsys.readouterr()
    assert "extending take.magi (2 chunks) by 2 chunks, 32x32, seed 5" in printed.out
    assert "saved take.magi: 4 chunks" in printed.out and "warning" not in printed.err
    with av.open("a.mp4") as container:
        assert parse_storyboard(container.metadata["storyboard"]).prompts == ["red", "blue", "green", "green"]
        assert json.loads(container.metadata["comment"])["seed"] == 5


def test_extend_to_another_name_leaves_the_take_alone(command, take):
    before = take.read_bytes()
    assert command("extend", take, "--prompt", "green", "--save", "longer.magi") == 0
    assert take.read_bytes() == before and len(load_state("longer.magi").chunks) == 3
    assert not list(Path().glob("output*"))


def test_a_continuous_extend_is_the_same_video_as_one_long_run(command, take):
    assert command("extend", take, "--prompt", "green", "--handoff", "continuous") == 0
    assert close(load_state(take).latents, latents_of("red", "blue", "green"))


def test_chunks_left_in_flight_are_finished_by_the_next_extend(command, take, capsys):
    how = ("--handoff", "continuous", "--no-drain")
    assert command("extend", take, "--prompt", "green", *how, "-o", "a.mp4") == 0
    pending = len(load_state(take).pending)
    assert pending > 0 and f"and {pending} in flight" in capsys.readouterr().out
    assert command("extend", take, "--prompt", "white", "-o", "b.mp4") == 0
    assert [chunk.prompt for chunk in load_state(take).chunks] == ["red", "blue", "green", "white"]
    assert close(load_state(take).latents, latents_of("red", "blue", "green", "white"))
    assert frames_in("b.mp4") == 96


def test_seconds_are_trimmed_to_the_frame_in_the_video_not_in_the_take(command, take):
    assert command("extend", take, "--prompt", "green", "--seconds", "1.25", "-o", "a.mp4") == 0
    assert frames_in("a.mp4") == 78 and len(load_state(take).chunks) == 4


def test_a_storyboards_first_chunk_is_the_first_new_one(command, take):
    Path("more.txt").write_text("0 [cut]: green\n1: white\n", encoding="utf-8")
    assert command("extend", take, "--storyboard", "more.txt") == 0
    chunks = load_state(take).chunks[2:]
    assert [(chunk.index, chunk.prompt, chunk.spec.transition) for chunk in chunks] == [
        (2, "green", "cut"),
        (3, "white", "continue"),
    ]


def test_going_back_needs_another_name(command, take, capsys):
    before = take.read_bytes()
    assert command("extend", take, "--prompt", "green", "--at", 1) == 2
    assert "--at 1 leaves out chunks 1 to 1 of take.magi" in capsys.readouterr().err
    assert command("extend", take, "--prompt", "green", "--at", 1, "--save", "fork.magi") == 0
    assert [chunk.prompt for chunk in load_state("fork.magi").chunks] == ["red", "green"]
    assert take.read_bytes() == before


def test_other_weights_and_settings_are_named(command, take, capsys):
    assert command("extend", take, "--prompt", "green", "--model", "other", "--text-guidance", 3) == 0
    error = capsys.readouterr().err
    assert "warning: not as take.magi was made: made with base, 2 layers of 32" in error
    assert "the model here is distilled, 2 layers of 32" in error and "guidance was" in error
    assert "fingerprint of the weights: tiny base, now tiny distilled" in error
    assert load_state(take).fingerprint == "tiny distilled"
    assert load_state(take).settings.guidance.text == (3.0, 0.0)


def test_settings_of_the_take_hold_and_what_the_model_would_take_is_said(command, take, capsys):
    other = tiny_engine(True, steps=16)
    assert command("extend", take, "--prompt", "green", "--model", "other", engine=other) == 0
    assert "steps: 8, as in the take; this model's own is 16" in capsys.readouterr().err
    assert load_state(take).settings.steps == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.magi", "--prompt", "a"), "there is no saved take at nothing.magi"),
        (("take.magi",), "give prompts in quotes"),
        (("take.magi", "--prompt", "a", "--storyboard", "s.txt"), "not both"),
        (("take.magi", "--prompt", "a", "--at", 7), "cannot go back to 7 chunks"),
        (("take.magi", "--prompt", "a", "--handoff", "hard"), "invalid choice"),
        (("take.magi", "--prompt", "a", "--chunks", 0), "at least 1"),
        (("take.magi", "--prompt", "a", "--seconds", "0.001"), "less than a frame"),
        (("take.magi", "--prompt", "a", "-o", "a.gif"), "written as mp4"),
        (("take.magi", "--prompt", "a", "--steps", 7), "multiple of the window"),
        (("take.magi", "a"), "unknown: a"),
        (("model", "--prompt", "a"), "not a saved take"),
        (("first.mp4", "--prompt", "a"), "not a saved take"),
    ],
)
def test_what_cannot_be_extended_is_one_line_and_changes_nothing(command, take, capsys, arguments, message):
    before = take.read_bytes()
    assert command("extend", *arguments, engine="never asked") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert take.read_bytes() == before and sorted(os.listdir()) == ["first.mp4", "model", "other", "take.magi"]


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


# --- info --------------------------------------------------------------------------------------------------


def test_info_says_what_is_in_a_take(command, take, capsys):
    story = "0: green\n1-2 [reroll 2]: white\n3 [cut]:\n"
    Path("more.txt").write_text(story, encoding="utf-8")
    assert command("extend", take, "--storyboard", "more.txt", "--no-drain") == 0
    capsys.readouterr()
    assert command("info", take) == 0
    lines = capsys.readouterr().out.splitlines()
    finished, pending = load_state(take).finished, len(load_state(take).pending)
    assert finished + pending == 6
    assert lines[0] == f"take.magi: {finished} chunks, {24 * finished} frames, {finished}.00 s at 24 fps, 32x32, seed 5"
    assert lines[1] == "model: base, 2 layers of 32, weights tiny base"
    assert "settings: 8 steps, window 4, KV ranges 5, 4, 3, 2, guidance text 7.5, 0 and previous 1.5, 1" in lines[2]
    assert "  0: red · seed 5" in lines and "  2: green · seed 5" in lines
    flying = f" (in flight from chunk {finished} on)"
    assert f"  3-4 [reroll 2]: white · seed 7{flying if finished < 5 else ''}" in lines
    assert f"  5 [cut]: (no prompt) · seed 5{flying}" in lines


def test_info_tells_what_was_given_and_noted(command, capsys):
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, fps=23.976, prefix=torch.randn(1, 16, 8, 4, 4))
    replace(begun, notes=("cropped 64x32 to 32x32",)).save("given.magi")
    with Autosave("broken.magi") as saved:
        saved.write(engine.extend(begun, "red"))
        assert command("info", "broken.magi") == 0
        assert "which a run that was broken off left" in capsys.readouterr().out
    assert command("info", "given.magi") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "given: 32 frames of an image or a video" in lines and "no chunks yet" in lines
    assert "note: cropped 64x32 to 32x32" in lines and "23.976 fps" in lines[0]
    assert command("info", "given.magi", "--sheet", "s.png") == 2
    assert "has no finished chunks to show" in capsys.readouterr().err
    assert command("info", "broken.magi") == 0
    assert "  1: red · seed 0" in capsys.readouterr().out.splitlines()


def test_info_draws_a_contact_sheet_with_the_vae_alone(command, take, monkeypatch, capsys):
    monkeypatch.setattr("magi_core.vae.load_vae", lambda *_, **__: tiny_engine().vae)
    assert command("info", take, "--sheet", "sheets/two.png") == 0
    assert command("extend", take, "--prompt", "green") == 0
    assert command("info", take, "--sheet", "three.png") == 0
    assert Image.open("three.png").height > Image.open("sheets/two.png").height + 100
    assert "wrote three.png" in capsys.readouterr().out
    assert command("info", take, "--sheet", "s.jpg") == 2
    assert command("info", take, "--sheet", "s.png", "--model", "nowhere") == 2
    assert "there is no model 'nowhere'" in capsys.readouterr().err
