"""A run saves where nothing is, or over a take that it makes again or goes on from; never over another."""

from __future__ import annotations

import pytest
import torch

from magi_core.state import Autosave, load_state
from magi_core.state.lineage import place_for
from magi_core.state.save import parts_folders
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}


def place(path, words, seed=3, state=None, **size):
    engine = tiny_engine()
    extension = engine.plan(state or engine.begin(**{**SIZE, **size}, seed=seed), words)
    return place_for(path, extension.given, [chunk.key for chunk in extension.chunks])


@pytest.fixture
def path(tmp_path):
    """A take of two chunks, red and blue."""
    engine = tiny_engine()
    engine.extend(engine.begin(**SIZE, seed=3), ["red", "blue"]).save(tmp_path / "ball.magi")
    return tmp_path / "ball.magi"


def test_a_free_name_is_taken(tmp_path):
    assert place(tmp_path / "ball.magi", ["red"]).path == tmp_path / "ball.magi"


@pytest.mark.parametrize("words", [["red", "blue"], ["red", "blue", "green"]])
def test_the_same_video_and_a_longer_one_are_of_its_lineage(path, words):
    found = place(path, words)
    assert (found.path, found.note) == (path, "") and found.older.finished == 2


def test_what_goes_on_from_a_take_is_of_its_lineage(path):
    assert place(path, ["green"], state=load_state(path)).path == path


@pytest.mark.parametrize(
    "other",
    [
        {"words": ["red", "green"]},
        {"words": ["red"]},
        {"words": ["red", "blue"], "seed": 4},
        {"words": ["red", "blue"], "width": 48},
    ],
)
def test_another_video_gets_a_number_and_says_so(path, other):
    found = place(path, **other)
    assert found.path == path.with_name("ball_2.magi") and found.older is None
    assert found.note == f"{path} holds another take, which stays as it is: this one is saved as ball_2.magi"


def test_numbers_go_on_and_a_numbered_take_is_found_again(path):
    engine = tiny_engine()
    engine.extend(engine.begin(**SIZE, seed=4), ["red", "blue"]).save(path.with_name("ball_2.magi"))
    assert place(path, ["red", "blue"], seed=5).path.name == "ball_3.magi"
    again = place(path, ["red", "blue", "red"], seed=4)
    assert again.path.name == "ball_2.magi" and again.note.endswith("this one goes on in ball_2.magi")


@pytest.mark.parametrize("content", [b"", b"my notes", b"\xff" * 100])
def test_what_cannot_be_read_is_not_replaced(tmp_path, content):
    (tmp_path / "ball.magi").write_bytes(content)
    assert place(tmp_path / "ball.magi", ["red"]).path.name == "ball_2.magi"


def test_a_take_in_parts_is_one(tmp_path):
    path = tmp_path / "ball.magi"
    engine = tiny_engine()
    saved = Autosave(path)
    saved.write(next(iter(engine.stream(engine.begin(**SIZE, seed=3), ["red", "blue"]))))
    assert parts_folders(path)[0].is_dir() and not path.exists()
    assert place(path, ["red", "green"]).path == path
    assert place(path, ["green"]).path.name == "ball_2.magi"


def test_a_take_that_is_made_again_stays_until_as_many_chunks_are_there(path):
    engine = tiny_engine()
    before = path.read_bytes()
    again = place(path, ["red", "blue", "green"])
    saved = Autosave(again.path, older=again.older)
    states = engine.stream(engine.begin(**SIZE, seed=3), ["red", "blue", "green"])
    saved.write(next(states))
    saved.close()
    assert path.read_bytes() == before
    for state in states:
        saved.write(state)
        assert torch.equal(load_state(path).latents, state.latents)
