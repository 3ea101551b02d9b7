"""A take of the format before this one, as it was saved then: two finished chunks, two in flight."""

from __future__ import annotations

from pathlib import Path

from magi_core.state import load_state
from tools.small_models import tiny_engine

TAKE = Path(__file__).with_name("format_2.magi")


def test_a_take_of_format_2_loads_without_walls_and_goes_on_with_its_model():
    engine, state = tiny_engine(), load_state(TAKE)
    assert [chunk.prompt for chunk in state.chunks] == ["red", "blue"]
    assert [chunk.at.spec.prompt for chunk in state.pending] == ["green", "x"]
    assert engine.differences(state) == () and state.end is None
    assert {chunk.at.wall for chunk in (*state.chunks, *state.pending)} == {0}
    drained = engine.drain(state)
    assert drained.finished == 4 and not drained.pending and not drained.notes


def test_saved_again_it_is_the_same_take(tmp_path):
    state = load_state(TAKE)
    state.save(tmp_path / "again.magi")
    again = load_state(tmp_path / "again.magi")
    assert [chunk.key for chunk in again.chunks] == [chunk.key for chunk in state.chunks]
    assert again.latents.equal(state.latents) and again.frontier.key == state.frontier.key
