"""`extend` adds chunks to a saved take and shows all of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import pytest
import torch

from magi_core import load_state
from magi_core.story.storyboard import parse_storyboard
from tests.unit.cli.takes import frames_in, latents_of
from tools.small_models import tiny_engine


def close(a, b) -> bool:
    return a.shape == b.shape and ((a - b).norm() / b.norm()).item() < 1e-5


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


def test_going_back_leaves_the_take_as_it_was(command, take, capsys):
    before = take.read_bytes()
    assert command("extend", take, "--prompt", "green", "--at", 1) == 0
    assert "take.magi holds another take, which stays as it is: this one is saved as take_2" in capsys.readouterr().out
    assert [chunk.prompt for chunk in load_state("take_2.magi").chunks] == ["red", "green"]
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
        (("take.magi", "--prompt", "a", "--save", ""), "the name of the take is empty"),
        (("take.magi", "--prompt", "a", "--save", "a\0.magi"), "cannot be looked for"),
        (("take.magi", "--prompt", "a", "--audio", "first.mp4", "-o", "first.mp4"), "--out would replace first.mp4"),
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
