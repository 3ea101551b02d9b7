"""A length in seconds becomes whole chunks, and a frame at which the video ends."""

from __future__ import annotations

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import load_state
from magi_core.state.length import agreed_length, chunks_for
from tools.small_models import tiny_engine


def _state(prefix: int = 0, chunks: int = 0, fps: float = 24):
    engine = tiny_engine(steps=4)
    given = torch.zeros(1, 16, prefix, 4, 4) if prefix else None
    state = engine.begin(width=32, height=32, fps=fps, prefix=given)
    return engine.extend(state, "red", chunks) if chunks else state


@pytest.mark.parametrize(
    ("state", "seconds", "wanted"),
    [
        ({}, 1.0, (1, 24)),
        ({}, 7.5, (8, 180)),
        ({}, 0.04, (1, 1)),
        ({"fps": 12}, 2.5, (2, 30)),
        ({"fps": 23.976}, 1.001, (1, 24)),
        ({"chunks": 2}, 1.5, (2, 84)),
        ({"prefix": 1}, 1.5, (2, 36)),  # an image is the first frame of what is new
        ({"prefix": 8}, 1.0, (2, 56)),  # a video comes before it
    ],
)
def test_seconds_become_chunks_and_frames(state: dict, seconds: float, wanted: tuple[int, int]) -> None:
    assert chunks_for(_state(**state), seconds) == wanted


@pytest.mark.parametrize(("chunks", "seconds"), [(10**30, 0.0), (100_001, 0.0), (1, 1e308), (1, 1e6)])
def test_more_than_can_be_made_is_refused_before_anything_is_of_that_size(chunks: int, seconds: float) -> None:
    with pytest.raises(MagiError, match="chunks are too many: at most 100,000 at a time"):
        agreed_length(_state(), chunks, None, seconds)


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(MagiError, match=r"less than a frame at 24 fps: use 0\.042 or more"):
        chunks_for(_state(), 0.01)


def test_a_length_is_part_of_the_take_until_it_is_extended(tmp_path) -> None:
    engine = tiny_engine(steps=4)
    begun = engine.begin(width=32, height=32)
    chunks, end = chunks_for(begun, 1.5)
    made = engine.extend(begun, "red", chunks, end=end)
    made.save(tmp_path / "take.magi")
    loaded = load_state(tmp_path / "take.magi")
    assert (made.finished, made.frames, loaded.frames) == (2, 36, 36)
    assert sum(len(block) for block in engine.decode(loaded)) == 36
    assert loaded.at(1).frames == 24 and engine.extend(loaded, "blue").frames == 72


def test_only_the_last_chunk_of_a_stream_ends_early() -> None:
    engine = tiny_engine(steps=4)
    states = engine.stream(engine.begin(width=32, height=32), "red", 2, end=30)
    assert [state.frames for state in states] == [24, 30]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_seconds_are_a_number(seconds: float) -> None:
    with pytest.raises(MagiError, match="seconds must be a number above 0"):
        chunks_for(_state(), seconds)


@pytest.mark.parametrize(
    ("asked", "chunks", "note"),
    [
        ((1, None, 0), 1, ""),
        ((3, None, 0), 3, ""),
        ((1, 5, 0), 5, ""),
        ((5, 5, 0), 5, ""),
        ((3, 5, 0), 5, "the storyboard decides: its 5 chunks are made, chunks says 3"),
        ((7, 5, 0), 7, "chunks decides: 7, where the storyboard has 5; its last prompt goes on"),
        ((1, None, 2.0), 2, ""),
        ((1, 5, 2.0), 2, "seconds decides: 2 chunks, where the storyboard has 5; the rest is left out"),
        ((1, 5, 9.0), 9, "seconds decides: 9 chunks, where the storyboard has 5; its last prompt goes on"),
        ((4, None, 2.0), 2, "seconds decides: 2 chunks, whatever chunks says (4)"),
    ],
)
def test_where_lengths_disagree_one_decides_and_it_is_said(asked: tuple, chunks: int, note: str) -> None:
    length = agreed_length(_state(), *asked)
    assert length.chunks == chunks and length.notes == ((note,) if note else ())


def test_a_length_beyond_the_announced_one_is_said() -> None:
    state = tiny_engine(steps=4).begin(width=32, height=32, total_chunks=3)
    assert agreed_length(state, 3, None, 0).notes == ()
    (note,) = agreed_length(state, 4, None, 0).notes
    assert note.startswith("total_chunks announces 3 chunks, and this makes 4")
