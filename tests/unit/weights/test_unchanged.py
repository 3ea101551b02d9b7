"""What was read of a file is remembered while the file is the same, and no longer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from magi_core.weights.unchanged import while_unchanged

LONG_AGO = 60.0  # seconds


class Reader:
    """Counts how often a file was read."""

    def __init__(self, most: int = 8) -> None:
        self.times = 0
        self.read = while_unchanged(most)(self._read)

    def _read(self, file: Path) -> str:
        self.times += 1
        return file.read_text()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a minute later than the files are."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + LONG_AGO)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("one")
    return path


def test_a_file_that_stays_the_same_is_read_once(file: Path, later: None) -> None:
    reader = Reader()
    assert [reader.read(file) for _ in range(3)] == ["one"] * 3 and reader.times == 1


def test_a_file_that_another_one_replaced_is_read_again(file: Path, later: None) -> None:
    reader = Reader()
    reader.read(file)
    about = file.stat()
    other = file.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))  # of the same size and time
    other.replace(file)
    assert reader.read(file) == "two"


def test_a_file_that_was_changed_in_place_is_read_again(file: Path, later: None) -> None:
    reader = Reader()
    reader.read(file)
    file.write_text("longer")
    assert reader.read(file) == "longer"


def test_a_file_that_was_changed_a_moment_ago_may_change_again(file: Path) -> None:
    reader = Reader()
    assert [reader.read(file) for _ in range(2)] == ["one"] * 2 and reader.times == 2


def test_what_cannot_be_read_is_tried_again(tmp_path: Path, later: None) -> None:
    reader = Reader()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            reader.read(tmp_path / "absent")
    assert reader.times == 2
    (tmp_path / "absent").write_text("there")
    assert reader.read(tmp_path / "absent") == "there"
