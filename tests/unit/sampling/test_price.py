"""What an extend costs is said for every way to extend."""

from __future__ import annotations

import pytest

from magi_core.sampling.price import cost_in_words, extend_costs
from tools.small_models import tiny_engine


def test_it_is_said_in_one_line_with_the_other_ways() -> None:
    engine = tiny_engine(steps=8)
    state = engine.extend(engine.begin(width=32, height=32), "red", 2)
    costs = extend_costs(engine, state, 3)
    said = cost_in_words(engine, state, 3, handoff="continuous", drain=True)
    others = f"clean {costs['clean']}, in flight {costs['in flight']}"
    assert said == f"{costs['continuous']} chunk-forwards ({others})"
    assert max(costs["clean"], costs["in flight"]) < costs["continuous"]


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_beginning_has_no_other_ways(chunks: int) -> None:
    engine = tiny_engine(steps=8)
    begun = engine.begin(width=32, height=32)
    said = cost_in_words(engine, begun, chunks, handoff="clean", drain=True)
    assert said == f"{engine.cost(begun, chunks)} chunk-forwards"
