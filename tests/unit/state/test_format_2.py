"""Takes of format 2, as the code before walls saved them, still load and go on as they would have.

`format_2/take.magi`: a given image, "red", a cut, a chunk with a reroll and ranges, two chunks in flight.
`format_2/drained.safetensors`: its latents when that code had finished what was in flight.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magi_core.cache.engine_cache import EngineCache
from magi_core.state import SamplerState, load_state
from magi_core.state.story import story_of
from magi_core.story.chunk import ChunkSpec
from tools.small_models import tiny_engine

FOLDER = Path(__file__).parent / "format_2"


@pytest.fixture
def take() -> SamplerState:
    return load_state(FOLDER / "take.magi")


@pytest.fixture
def engine():
    return tiny_engine(steps=4).copy(cache=EngineCache())


def test_it_matches_its_model_and_says_what_was_asked(take, engine) -> None:
    assert engine.differences(take) == () and len(take.pending) == 2 and take.end is None
    assert story_of(take).to_text().splitlines() == [
        "0: red",
        "1 [cut]: blue circle",
        "2 [reroll 2] [ranges 2,1]: green",
        "3 [new_shot]: a tall tree",
        "4: end",
    ]


def test_what_is_in_flight_is_finished_as_it_would_have_been(take, engine) -> None:
    expected = load_file(FOLDER / "drained.safetensors")["latents"]
    assert (engine.drain(take).latents - expected).norm() / expected.norm() < 1e-5


def test_its_own_cut_is_no_wall_but_later_ones_are(take, engine) -> None:
    assert {chunk.at.wall for chunk in take.chunks} == {0} and take.wall == 0
    longer = engine.extend(take, [ChunkSpec("red", transition="cut"), "blue"])
    assert [chunk.at.wall for chunk in longer.chunks] == [0] * 5 + [5, 5]


def test_it_is_saved_in_the_format_of_today(take, engine, tmp_path) -> None:
    take.save(tmp_path / "take.magi", all_frontiers=True)
    again = load_state(tmp_path / "take.magi")
    assert [chunk.at for chunk in again.chunks] == [chunk.at for chunk in take.chunks]
    assert torch.equal(engine.drain(again).latents, engine.drain(take).latents)
