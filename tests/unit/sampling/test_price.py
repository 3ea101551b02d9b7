"""What an extend costs is said for every way to extend."""

from __future__ import annotations

import pytest

from magi_core.sampling.price import cost_in_words, extension_in_words, other_ways
from tools.small_models import tiny_engine


def said(engine, state, chunks, handoff, drain=True):
    extension = engine.plan(state, "red", chunks, handoff=handoff, drain=drain)
    return cost_in_words(extension.cost, other_ways(engine, extension, ["red"] * chunks, handoff))


def test_it_is_said_in_one_line_with_the_other_ways() -> None:
    engine = tiny_engine(steps=8)
    state = engine.extend(engine.begin(width=32, height=32), "red", 2)
    ways = {"clean": ("clean", True), "continuous": ("continuous", True), "in flight": ("continuous", False)}
    costs = {
        name: engine.plan(state, "red", 3, handoff=handoff, drain=drain).cost.total
        for name, (handoff, drain) in ways.items()
    }
    others = f"clean {costs['clean']}, in flight {costs['in flight']}"
    assert said(engine, state, 3, "continuous") == f"{costs['continuous']} chunk-forwards ({others})"
    assert max(costs["clean"], costs["in flight"]) < costs["continuous"]


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_beginning_has_no_other_ways(chunks: int) -> None:
    engine = tiny_engine(steps=8)
    begun = engine.begin(width=32, height=32)
    cost = engine.plan(begun, "red", chunks).cost.total
    assert said(engine, begun, chunks, "clean") == f"{cost} chunk-forwards"


def test_what_happens_to_every_chunk_is_said_in_one_line() -> None:
    engine = tiny_engine(steps=8)
    begun = engine.begin(width=32, height=32)
    state = engine.extend(begun, ["red", "blue"])
    engine.extend(state, ["green", "tree"])
    extension = engine.plan(state, ["green", "end"])
    assert extension_in_words(extension) == (
        f"chunks 0-1 kept, 2 remembered, 3 to make: {extension.cost.total} chunk-forwards"
    )
