"""Storyboards in the engine: the same run however it is cut, saved or begun again."""

from __future__ import annotations

import pytest
import torch

import magi_core
from magi_core.cache.engine_cache import EngineCache
from magi_core.story.storyboard import ChunkSpec, Storyboard, parse_storyboard
from tests.unit.story.runs import ENGINES, SIZE, relative, render
from tools.small_models import WordEncoder, tiny_engine

LONG_RUN = {"handoff": "continuous"}
STORY = "0-1: red\n2 [cut] [reroll 2]: blue\n3: green\n4 [new_shot]: tree\n5 [ranges 2,1]: red\n6 [restyle]: end"


def test_a_storyboard_says_its_length_and_mixes_with_prompts():
    engine, board = tiny_engine(), parse_storyboard(STORY)
    whole = render(engine, board)
    assert [c.prompt for c in whole.chunks] == board.prompts
    mixed = render(engine, ["red", WordEncoder().encode("red"), *board.chunks[2:]])
    assert torch.equal(mixed.latents, whole.latents)
    assert [c.spec for c in whole.chunks] == list(board.chunks)
    for state in engine.stream(engine.begin(**SIZE), board):
        last = state
    assert torch.equal(last.latents, whole.latents)


def test_one_directed_chunk_for_all_is_a_line_for_all():
    engine = tiny_engine()
    engine_says = engine.extend(engine.begin(**SIZE), ChunkSpec("red", 1, "cut"), 3)
    board = parse_storyboard("0-2 [cut] [reroll 1]: red")
    assert [c.spec.transition for c in engine_says.chunks] == ["cut", "continue", "continue"]
    assert torch.equal(engine_says.latents, render(engine, board).latents)


@ENGINES
@pytest.mark.parametrize("way", [LONG_RUN, {"drain": False}], ids=["continuous", "undrained"])
@pytest.mark.parametrize("cuts", [(2, 5), (3, 4), (1, 1, 1, 1, 1, 1, 1)], ids=str)
def test_a_directed_run_cut_anywhere_is_the_same_run(distill, way, cuts):
    board = parse_storyboard(STORY)
    engine = tiny_engine(distill)
    whole, state, at = render(engine, board), engine.begin(**SIZE), 0
    for cut in cuts:
        engine.cache.clear()
        state = engine.extend(state, Storyboard(board.chunks[at : at + cut]), **way)
        at += cut
    state = engine.drain(state)
    assert relative(state.latents, whole.latents) < 1e-5
    assert [c.at for c in state.chunks] == [c.at for c in whole.chunks]


@pytest.mark.parametrize("drain", [True, False], ids=["drained", "in flight"])
def test_saved_takes_keep_their_direction(tmp_path, drain):
    engine, board = tiny_engine(), parse_storyboard(STORY)
    state = engine.extend(engine.begin(**SIZE), Storyboard(board.chunks[:5]), drain=drain)
    state.save(tmp_path / "take.magi")
    loaded = magi_core.load_state(tmp_path / "take.magi")
    assert [c.at for c in loaded.chunks] == [c.at for c in state.chunks]
    engine.cache.clear()
    there = engine.drain(engine.extend(loaded, Storyboard(board.chunks[5:]), **LONG_RUN))
    assert relative(there.latents, render(engine, board).latents) < 1e-5


def test_chunks_begun_again_under_other_settings_get_the_ranges_of_those():
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), ["red", ChunkSpec("blue", transition="new_shot")], drain=False)
    other = state.settings.with_changes(steps=12, window=3, kv_ranges=(4, 3, 2))
    done = engine.extend(state, "green", settings=other)
    assert "steps was 8, is 12" in done.notes[-1]
    fresh = engine.copy(cache=EngineCache()).extend(
        engine.begin(**SIZE), ["red", ChunkSpec("blue", transition="new_shot"), "green"], settings=other
    )
    assert relative(done.latents, fresh.latents) < 1e-5
