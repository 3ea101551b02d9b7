"""The door for JSON: what is ordinary passes, what is too large, too deep or no number is an error in words."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from magi_core.errors import MagiError
from magi_core.inputs.json_text import MAX_DEPTH, parse_json, read_json
from magi_core.inputs.regular import read_bounded, read_text
from tests.linear_time import grows_evenly

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("value", [{"a": [1, -2.5, None, True, 'b"]{\\']}, 2**64, -(2**63), "日本", [[[[{}]]]]])
def test_ordinary_json_passes(value):
    assert parse_json(json.dumps(value), "it") == value
    assert parse_json(b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode(), "it") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 48 levels"),
        ("[" * 200_000, "nested more than"),
        ('{"a":' * 200_000, "nested more than"),
        ("1" * 5000, "whole number of 5000 digits"),
        ("-" + "1" * 22, "whole number of 23 digits"),
        ("1e400", "not finite"),
        ('[{"prompt": "a", "prompt": "b"}]', "'prompt' is in it twice"),
        ("[NaN]", "not finite"),
        ("-Infinity", "not finite"),
        ('{"a": 1,\n}', "line 2: it looks like JSON but is not valid"),
        (b"\xff\xfe[\x00]\x00", "not usable JSON"),
        (" " * (9 << 20), "too large for JSON"),
    ],
)
def test_other_json_is_refused_in_words(text, message):
    with pytest.raises(MagiError, match=message) as caught:
        parse_json(text, "it")
    assert len(str(caught.value)) < 400


def test_brackets_in_texts_are_no_depth():
    assert parse_json(json.dumps(["[" * 1000, '\\"[' * 1000]), "it")


def test_reading_takes_time_in_proportion():
    for shape in ('["\\"', "[[],", '"', "\\", '["a",'):

        def parse(size: int, shape: str = shape) -> None:
            with pytest.raises(MagiError):
                parse_json(shape * (size // len(shape)) + "!", "it")

        assert not grows_evenly(parse, 100_000, within=2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(MagiError, match="is a pipe, not a configuration"):
        read_json(tmp_path / "a.json", "configuration")
    with pytest.raises(MagiError, match="is a device"):
        read_json("/dev/zero", "configuration")
    with pytest.raises(MagiError, match="there is no configuration at"):
        read_json(tmp_path / "b.json", "configuration")
    with pytest.raises(MagiError, match="cannot be opened"):
        read_json("a\0b", "configuration")


def test_files_are_measured_before_they_are_read(tmp_path):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(MagiError, match="too large for a storyboard"):
        read_bounded(tmp_path / "a.txt", "storyboard", 1000)
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(MagiError, match="no text file in UTF-8"):
        read_text(tmp_path / "b.txt", "storyboard", 1000)


def test_there_is_one_door():
    found = {
        file.relative_to(REPOSITORY).as_posix()
        for folder in ("magi_core", "nodes")
        for file in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"\bjson\.loads?\(", file.read_text("utf-8"))
    }
    assert found == {"magi_core/inputs/json_text.py"}
