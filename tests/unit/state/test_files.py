"""Which takes lie in a folder, those of broken-off runs included, and whether one has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from magi_core.errors import MagiError
from magi_core.state import Autosave
from magi_core.state.files import find_takes, is_take, take_fingerprint
from tools.small_models import tiny_engine


@pytest.fixture(scope="module")
def states() -> list:
    engine = tiny_engine(steps=4)
    return list(engine.stream(engine.begin(width=32, height=32), ["red", "green"]))


def test_whole_and_broken_off_takes_are_found(tmp_path: Path, states: list) -> None:
    (tmp_path / "scene").mkdir()
    states[-1].save(tmp_path / "scene" / "ball.magi")
    Autosave(tmp_path / "crashed.magi").write(states[0])  # never closed
    (tmp_path / "notes.txt").write_text("no take")
    assert find_takes(tmp_path) == [tmp_path / "crashed.magi", tmp_path / "scene" / "ball.magi"]
    assert find_takes(tmp_path, below=False) == [tmp_path / "crashed.magi"]
    assert find_takes(tmp_path / "missing") == []
    assert is_take(tmp_path / "crashed.magi") and is_take(tmp_path / "scene" / "ball.magi")
    assert not is_take(tmp_path / "notes.txt") and not is_take(tmp_path / "scene")


def test_the_fingerprint_follows_the_content(tmp_path: Path, states: list) -> None:
    path = tmp_path / "ball.magi"
    states[0].save(path)
    first = take_fingerprint(path)
    os.utime(path, (1, 1))
    assert take_fingerprint(path) == first
    states[1].save(path)
    assert take_fingerprint(path) != first


def test_the_fingerprint_of_a_take_in_parts_follows_its_parts(tmp_path: Path, states: list) -> None:
    path = tmp_path / "ball.magi"
    saved = Autosave(path)
    saved.write(states[0])
    first = take_fingerprint(path)
    saved.write(states[1])
    assert take_fingerprint(path) != first


def test_no_take_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="there is no saved take"):
        take_fingerprint(tmp_path / "ball.magi")
