"""A run that is broken off anywhere goes on as if it had not been, where the same is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import Cancelled, load_state
from magi_core.story.storyboard import parse_storyboard
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32, "seed": 3}
WORDS = ["red", "blue", "green", "red", "blue", "green", "red"]
STORY = parse_storyboard(
    "0-1: red\n2 [cut]: blue\n3-6: green\n7 [echo] [reroll 2]: red\n8 [new_shot]: blue\n9 [ranges 3,2]: green\n"
    "10 [cut]: red\n11-15: blue"
)


def broken_off(state, path):
    """`state` as another process finds it."""
    state.save(path)
    return load_state(path)


def every_break(engine, begun, directions, path, **how):
    """The whole video, and each state that it can be broken off at as it was saved."""
    *parts, whole = engine.stream(begun, directions, **how)
    return whole, [broken_off(state, path) for state in parts]


def goes_on_exactly(whole, left, settings):
    """Each state that was `left` goes on to `whole`, with what it says is still to come."""
    for state in left:
        rest = state.unfinished.asked(state.finished)
        assert [spec.prompt for spec in rest] == [record.prompt for record in whole.chunks[len(state.chunks) :]]
        made = tiny_engine(**settings).extend(state, rest)
        assert torch.equal(made.latents, whole.latents)
        assert made.notes == ("the run that was broken off goes on",)
        assert [record.key for record in made.chunks] == [record.key for record in whole.chunks]
        assert made.frontier.key == whole.frontier.key and made.unfinished is None


@pytest.mark.parametrize(("directions", "given"), [(WORDS, 0), (STORY, 8)], ids=["prompts", "storyboard"])
def test_bit_for_bit_wherever_it_was_broken_off(tmp_path, directions, given):
    prefix = torch.randn(1, 16, given, 4, 4) if given else None
    engine = tiny_engine()
    begun = engine.begin(**SIZE, prefix=prefix, total_chunks=len(directions))
    whole, left = every_break(engine, begun, directions, tmp_path / "a.magi")
    assert len(left) == len(directions) - 1
    goes_on_exactly(whole, left, {})


@pytest.mark.parametrize(
    "settings",
    [{"window": 1}, {"window": 2}, {"clean_kv_range": 2}, {"clean_kv_range": -1}, {"kv_ranges": ()}, {"distill": True}],
    ids=str,
)
def test_bit_for_bit_with_any_settings(tmp_path, settings):
    engine = tiny_engine(**settings)
    begun = engine.begin(**SIZE, prefix=torch.randn(1, 16, 1, 4, 4))
    whole, left = every_break(engine, begun, WORDS, tmp_path / "a.magi")
    goes_on_exactly(whole, left[1::3], settings)


@pytest.mark.parametrize("handoff", ["clean", "continuous"])
@pytest.mark.parametrize("drain", [True, False])
def test_an_extend_that_was_broken_off_goes_on_too(tmp_path, handoff, drain):
    engine, how = tiny_engine(), {"handoff": handoff, "drain": drain}
    take = engine.extend(engine.begin(**SIZE), ["red", "blue"])
    whole, left = every_break(engine, take, WORDS, tmp_path / "a.magi", **how)
    for state in left:
        rest = state.unfinished
        assert rest.drain == drain
        for again in ("clean", "continuous"):
            made = tiny_engine().extend(state, rest.asked(state.finished), drain=drain, handoff=again)
            assert torch.equal(made.latents, whole.latents)
            assert made.frontier.key == whole.frontier.key and len(made.pending) == len(whole.pending)


def test_it_can_be_broken_off_again_and_again(tmp_path):
    engine = tiny_engine()
    whole = engine.extend(engine.begin(**SIZE), WORDS)
    state = broken_off(next(iter(engine.stream(engine.begin(**SIZE), WORDS))), tmp_path / "a.magi")
    while state.unfinished is not None:
        state = next(iter(tiny_engine().stream(state, state.unfinished.asked(state.finished))))
        state = broken_off(state, tmp_path / "a.magi")
    assert torch.equal(state.latents, whole.latents)


def test_an_interrupt_leaves_as_much_as_a_kill(tmp_path):
    engine, steps = tiny_engine(), []
    with pytest.raises(Cancelled) as stopped:
        engine.extend(engine.begin(**SIZE), WORDS, on_step=steps.append, cancelled=lambda: len(steps) >= 11)
    left = broken_off(stopped.value.state, tmp_path / "a.magi")
    assert left.finished == 2 and not left.pending
    whole = tiny_engine().extend(engine.begin(**SIZE), WORDS)
    assert torch.equal(tiny_engine().extend(left, WORDS[2:]).latents, whole.latents)


@pytest.fixture
def left(tmp_path):
    engine = tiny_engine()
    return broken_off(next(iter(engine.stream(engine.begin(**SIZE), WORDS))), tmp_path / "a.magi")


def test_an_ending_that_changes_takes_the_run_up(left):
    words = [*WORDS[:4], "white", "white"]
    whole = tiny_engine().extend(tiny_engine().begin(**SIZE), words)
    assert torch.equal(tiny_engine().extend(left, words[1:]).latents, whole.latents)


def test_another_story_goes_on_from_the_finished_chunks(left):
    made = tiny_engine().extend(left, ["white"] * 6)
    plain = tiny_engine().extend(left.at(1), ["white"] * 6)
    assert torch.equal(made.latents, plain.latents) and not made.notes


def test_going_back_to_the_finished_chunks_leaves_the_run_behind(left):
    here = left.at(left.finished)
    assert here.unfinished is None
    made = tiny_engine().extend(here, WORDS[1:])
    assert not torch.equal(made.latents, tiny_engine().extend(left, WORDS[1:]).latents) and not made.notes


def test_what_keeps_it_from_going_on_is_said(left):
    fewer = tiny_engine().extend(left, WORDS[1:3])
    assert "does not go on (3 chunks were in flight, 2 asked for): continued from" in fewer.notes[-1]
    other = tiny_engine().copy(fingerprint="other").extend(left, WORDS[1:])
    assert "does not go on (other weights of the same kind" in other.notes[-1]
    weights = tiny_engine().copy(weights_digest="b").extend(replace(left, weights_digest="a"), WORDS[1:])
    assert "does not go on (some weights are other than" in weights.notes[-1]


def test_a_digest_of_the_weights_is_kept_and_compared_where_both_have_one(tmp_path):
    engine = tiny_engine().copy(weights_digest="a")
    state = engine.extend(engine.begin(**SIZE), "red")
    saved = broken_off(state, tmp_path / "a.magi")
    assert saved.weights_digest == "a"
    assert not engine.differences(saved) and not tiny_engine().differences(saved)
    assert "some weights are other" in engine.copy(weights_digest="b").differences(saved)[0]


def test_a_take_does_not_hold_the_rest_of_a_run_that_is_over(tmp_path):
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), WORDS)
    assert state.unfinished is None and broken_off(state, tmp_path / "a.magi").unfinished is None
    with pytest.raises(MagiError, match="no prompt"):
        engine.extend(state, [])
