"""A take says what was asked of it."""

from __future__ import annotations

import torch

from magi_core.state import load_state
from magi_core.state.story import story_of, told_again
from magi_core.story.storyboard import parse_storyboard
from magi_core.text import SpecialTokens
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES
from tests.unit.story.runs import SIZE
from tools.small_models import CHANNELS, tiny_engine


def test_a_take_says_what_was_asked_of_it(tmp_path):
    board = parse_storyboard(
        "0-1 [tokens hq, anime]: red\n2 [cut] [reroll 3]: blue\n3 [ranges 1,1,3,2]: green\n4: red\n"
    )
    rows = {name: torch.randn(CHANNELS) for name in SPECIAL_TOKEN_NAMES}
    engine = tiny_engine().copy(special_tokens=SpecialTokens(rows))
    state = engine.extend(engine.begin(**SIZE, seed=11), board, drain=False)
    state.save(tmp_path / "take.magi")
    assert story_of(state) == board and story_of(load_state(tmp_path / "take.magi")) == board
    other = engine.copy(fingerprint="another model").drain(state)
    assert story_of(other) == board, "also where chunks in flight were begun again"


def test_a_storyboard_that_the_video_holds_already_is_noted():
    board = parse_storyboard("0: red\n1 [cut]: blue")
    state = tiny_engine().extend(tiny_engine().begin(**SIZE), board.of_length(3))
    assert told_again(state, board.chunks).startswith("this storyboard is in the video already")
    assert told_again(state, board.of_length(5).chunks) != ""
    assert told_again(state, parse_storyboard("0: green\n1: blue").chunks) == ""
    assert told_again(state, board.chunks[:1]) == "" == told_again(tiny_engine().begin(**SIZE), board.chunks)
