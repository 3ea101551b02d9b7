"""The saved take that an example workflow goes on with."""

from __future__ import annotations

import magi_core
from magi_core.state import load_state
from magi_core.story.storyboard import parse_storyboard
from tools.example_take import MODEL, SIDE, STORY, TAKE


def test_it_was_made_by_the_bundled_model_from_its_story() -> None:
    """Fails when nano was trained again: `python -m tools.example_take` makes the take anew."""
    take = load_state(TAKE)
    assert magi_core.load(MODEL, encoders=False).differences(take) == ()
    assert [chunk.prompt for chunk in take.chunks] == parse_storyboard(STORY).prompts
    assert (take.width, take.height, take.frames) == (SIDE, SIDE, 72)


def test_it_is_small() -> None:
    assert TAKE.stat().st_size < 512 * 1024
