"""Chunks in the middle made anew, the end kept bit for bit and gone on from as before."""

from __future__ import annotations

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import load_state
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 16}


def a_take(engine, chunks=9):
    return engine.extend(engine.begin(**SIZE, seed=7), ["red", "blue", "green"] * 3)


def run(engine, extension):
    *_, made = engine.run(extension)
    return made


@pytest.mark.parametrize("distill", [False, True])
@pytest.mark.parametrize("handoff", ["clean", "continuous"])
def test_all_other_chunks_stay_bit_for_bit_and_the_end_goes_on_as_it_was(distill, handoff, tmp_path) -> None:
    engine = tiny_engine(distill, steps=8)
    take = a_take(engine)
    made = run(engine, engine.retouch(take, "a tree", 3, 2, strength=1, join=1, handoff=handoff))
    same = [torch.equal(made.chunk_latent(i), take.chunk_latent(i)) for i in range(9)]
    assert same == [True] * 3 + [False] * 2 + [True] * 4
    assert not any("going on from here" in note for note in made.notes)
    assert [made.chunk_key(i) == take.chunk_key(i) for i in range(9)] == same
    made.save(tmp_path / "a.magi")
    for state in (made, load_state(tmp_path / "a.magi")):
        for after in ("clean", "continuous"):
            on, was = (tiny_engine(distill, steps=8).extend(s, "on", 2, handoff=after) for s in (state, take))
            assert torch.equal(on.latents[:, :, 54:], was.latents[:, :, 54:]), "4 are kept, and the longest range is 5"


def test_with_fewer_kept_the_old_frontier_is_not_taken_up_and_a_note_says_so() -> None:
    engine = tiny_engine(steps=8)
    take = a_take(engine)
    made = run(engine, engine.retouch(take, "a tree", 4, 2, strength=1))
    assert any("the last 3 chunks stay as they were, and what comes next reads 4" in note for note in made.notes)
    assert made.frontier is None or made.frontier.key != take.frontier.key
    at = made.at(8)
    assert engine.plan(at, "on", handoff="continuous").parts[0].frontier is not take.at(8).frontier
    on, was = (engine.extend(state, "on", handoff="continuous") for state in (made, take))
    assert not torch.equal(on.latents[:, :, 54:], was.latents[:, :, 54:])


def test_joining_chunks_come_closer_to_what_follows() -> None:
    engine = tiny_engine(steps=8)
    take = a_take(engine)
    extension = engine.retouch(take, "a tree", 3, 3, strength=0.9, join=2)
    strengths = [new.at.spec.strength for new in extension.new.values()]
    assert strengths == pytest.approx([0.9, 0.6, 0.3, 0, 0, 0])
    for first, count, join in ((8, 2, 0), (3, 1, 2), (3, 4, 4)):
        with pytest.raises(MagiError):
            engine.retouch(take, "a tree", first, count, join=join)


@pytest.mark.parametrize("strength", [-0.1, 1.2, float("nan"), None, "half", True])
@pytest.mark.parametrize("join", [0, 1])
def test_a_strength_that_cannot_be_is_refused_whatever_becomes_of_it_on_the_way(strength, join) -> None:
    engine = tiny_engine(steps=8)
    with pytest.raises(MagiError, match="a strength is a number from 0"):
        engine.retouch(a_take(engine), "a tree", 3, strength=strength, join=join)


@pytest.mark.parametrize("places", [{"first": 2.0}, {"first": "2"}, {"first": None}, {"first": 2, "join": 0.5}])
def test_places_are_whole_numbers(places) -> None:
    engine = tiny_engine(steps=8)
    with pytest.raises(MagiError, match="of a retouch must be a whole number"):
        engine.retouch(a_take(engine), "a tree", **places)


def test_chunks_that_are_left_in_flight_are_missed_and_said_to_be() -> None:
    engine = tiny_engine(steps=8)
    take = engine.extend(engine.begin(**SIZE, seed=7), ["red", "blue"] * 3, drain=False)
    for extension in (engine.retouch(take, "a tree", 1), engine.plan(engine.begin(**SIZE), "a tree", source=take)):
        assert any("3 chunks of the take, left in flight, are not in what is made" in note for note in extension.notes)
    drained = engine.drain(take)
    assert not any("in flight" in note for note in engine.retouch(drained, "a tree", 1).notes)
