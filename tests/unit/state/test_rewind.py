"""Going back to an earlier chunk, by count from either end, and knowing whether it can be exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.sampling.handoff import continues_exactly, exactness_in_words
from magi_core.state.rewind import rewind
from tools.small_models import tiny_engine


@pytest.fixture
def made():
    engine = tiny_engine(steps=4)
    return engine, engine.extend(engine.begin(width=32, height=32), ["red", "green", "blue"])


@pytest.mark.parametrize(("count", "left"), [(2, 2), (-1, 2), (-3, 0), (0, 0), (3, 3)])
def test_counts_go_from_either_end(made, count: int, left: int) -> None:
    _, state = made
    assert len(rewind(state, count).chunks) == left
    assert len(state.chunks) == 3


def test_chunks_of_a_given_video_are_counted_and_stay() -> None:
    engine = tiny_engine(steps=4)
    state = engine.begin(width=32, height=32, prefix=torch.zeros(1, 16, 12, 4, 4))
    state = engine.extend(state, ["red", "green"])
    assert len(rewind(state, 3).chunks) == 1
    assert not rewind(state, -2).chunks
    with pytest.raises(MagiError, match=r"of which 2 were given; use 2 to 4, or -1 to -2"):
        rewind(state, 1)


@pytest.mark.parametrize("count", [4, -4])
def test_points_that_are_not_there_are_refused(made, count: int) -> None:
    with pytest.raises(MagiError, match=r"this take has 3 chunks; use 0 to 3, or -1 to -3"):
        rewind(made[1], count)


def test_exact_only_where_the_pipeline_is_known(made) -> None:
    engine, state = made
    back = rewind(state, 2)
    assert continues_exactly(back, engine)
    assert not continues_exactly(back)  # nobody says that it is remembered
    assert "connect it to know" in exactness_in_words(back)
    engine.cache.frontiers.clear()
    assert not continues_exactly(back, engine)
    assert "from the finished chunks" in exactness_in_words(back, engine)
    assert continues_exactly(state, engine)  # its own frontier
    assert continues_exactly(rewind(state, 0))  # a beginning is one run in any case


def test_other_weights_are_never_exact(made) -> None:
    engine, state = made
    assert not continues_exactly(replace(state, fingerprint="another"), engine)


def test_what_is_said_to_be_exact_is(made) -> None:
    engine, state = made
    back = rewind(state, 2)
    again = engine.extend(back, "blue", handoff="continuous")
    assert torch.allclose(again.latents, state.latents, atol=1e-5)
