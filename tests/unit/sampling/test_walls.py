"""A cut is a wall: what follows does not see across it, and does not depend on what lies before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magi_core.cache.engine_cache import EngineCache
from magi_core.state import load_state
from magi_core.story.chunk import ChunkSpec
from tests.linear_time import grows_evenly
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}
ENGINES = pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
CUT = ChunkSpec("blue circle", transition="cut")
SHOT_ONE, SHOT_TWO = ["red", "green", "it stops"], [CUT, "a tall tree", "end", "red", "blue"]
OTHER_SHOT_ONE = ["red", "big", "it stops"]


def fresh(engine, directions, **how):
    engine = engine.copy(cache=EngineCache())
    return engine.extend(engine.begin(**SIZE), directions, **how)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def second(state):
    return state.latents[:, :, 18:]


@ENGINES
@pytest.mark.parametrize("settings", [{}, {"kv_ranges": ()}, {"clean_kv_range": 3}, {"window": 2}], ids=str)
def test_a_second_shot_is_the_same_whatever_the_first_was(distill, settings):
    engine = tiny_engine(distill, **settings)
    one, two = (fresh(engine, [*first, *SHOT_TWO]) for first in (SHOT_ONE, OTHER_SHOT_ONE))
    assert relative(second(one), second(two)) < 1e-5
    assert relative(one.latents[:, :, :18], two.latents[:, :, :18]) > 1e-3
    assert [chunk.key for chunk in one.chunks[3:]] == [chunk.key for chunk in two.chunks[3:]]
    assert one.chunks[2].key != two.chunks[2].key


@ENGINES
@pytest.mark.parametrize(
    "way", [{"handoff": "continuous"}, {"drain": False}, {}], ids=["continuous", "undrained", "clean"]
)
def test_every_handoff_knows_the_wall(distill, way):
    engine = tiny_engine(distill)
    made = []
    for first in (SHOT_ONE, OTHER_SHOT_ONE):
        state = fresh(engine, [*first, CUT], drain=way.get("drain", True))
        state = engine.copy(cache=EngineCache()).extend(state, SHOT_TWO[1:], **way)
        made.append(engine.drain(state))
    assert relative(second(made[0]), second(made[1])) < 1e-5


def test_ranges_typed_by_hand_end_at_the_wall():
    engine = tiny_engine()
    typed = [CUT, ChunkSpec("a tall tree", kv_ranges=(5, 5, 5, 5)), "end"]
    one, two = (fresh(engine, [*first, *typed]) for first in (SHOT_ONE, OTHER_SHOT_ONE))
    assert relative(second(one), second(two)) < 1e-5


def test_a_second_shot_looks_back_as_far_as_its_cut():
    engine = tiny_engine()
    one, two = (fresh(engine, [*SHOT_ONE, ChunkSpec(prompt, transition="cut"), "end"]) for prompt in ("red", "blue"))
    assert relative(one.chunks[4].latent, two.chunks[4].latent) > 1e-3


@ENGINES
def test_editing_the_first_shot_keeps_the_second(distill):
    engine = tiny_engine(distill).copy(cache=EngineCache())
    begun = engine.begin(**SIZE)
    before = engine.extend(begun, [*SHOT_ONE, *SHOT_TWO])
    extension = engine.plan(begun, [*OTHER_SHOT_ONE, *SHOT_TWO])
    kinds = [chunk.kind for chunk in extension.chunks]
    assert kinds == ["remembered", "computed", "computed"] + ["remembered"] * 5
    alone = engine.copy(cache=EngineCache())
    assert extension.cost.steps <= alone.plan(begun, OTHER_SHOT_ONE).cost.steps, "nothing of the second shot is made"
    *_, after = engine.run(extension)
    for old, new in zip(before.chunks[3:], after.chunks[3:], strict=True):
        assert torch.equal(old.latent, new.latent)
    assert relative(after.latents, fresh(engine, [*OTHER_SHOT_ONE, *SHOT_TWO]).latents) < 1e-5


@ENGINES
def test_editing_the_second_shot_begins_at_its_cut(distill):
    engine = tiny_engine(distill).copy(cache=EngineCache())
    begun = engine.begin(**SIZE)
    engine.extend(begun, [*SHOT_ONE, *SHOT_TWO])
    edited = [*SHOT_ONE, ChunkSpec("green", transition="cut"), *SHOT_TWO[1:]]
    extension = engine.plan(begun, edited)
    alone = engine.copy(cache=EngineCache()).plan(begun, SHOT_TWO)
    assert extension.cost.steps == alone.cost.steps, "as if the second shot were all"
    *_, made = engine.run(extension)
    assert relative(made.latents, fresh(engine, edited).latents) < 1e-5


def test_a_take_knows_its_walls_when_it_is_loaded(tmp_path):
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), [*SHOT_ONE, CUT])
    state.save(tmp_path / "take.magi")
    loaded = load_state(tmp_path / "take.magi")
    assert [chunk.at.wall for chunk in loaded.chunks] == [0, 0, 0, 3] and loaded.wall == 3
    more = engine.copy(cache=EngineCache()).extend(loaded, "end", handoff="continuous")
    assert more.chunks[4].at.wall == 3
    assert relative(more.latents, fresh(engine, [*SHOT_ONE, CUT, "end"]).latents) < 1e-5


def test_without_a_cut_there_is_no_wall():
    engine = tiny_engine()
    for transition in ("new_shot", "restyle"):
        directions = ["red", ChunkSpec("blue", transition=transition), "green"]
        assert {chunk.at.wall for chunk in fresh(engine, directions).chunks} == {0}


def test_a_given_video_is_out_of_sight_behind_a_cut():
    engine, results = tiny_engine(), []
    for seed in (1, 2):
        given = torch.randn(1, 16, 12, 4, 4, generator=torch.Generator().manual_seed(seed))
        alone = engine.copy(cache=EngineCache())
        results.append(alone.extend(alone.begin(**SIZE, prefix=given), [CUT, "end"]))
    assert relative(results[0].latents[:, :, 12:], results[1].latents[:, :, 12:]) < 1e-5


def test_an_extension_says_what_becomes_of_every_chunk():
    engine = tiny_engine().copy(cache=EngineCache())
    state = engine.extend(engine.begin(**SIZE), SHOT_ONE)
    extension = engine.plan(state, SHOT_TWO)
    assert [chunk.kind for chunk in extension.chunks] == ["kept"] * 3 + ["computed"] * 5
    with pytest.raises(AttributeError):
        extension.cost = replace(extension.cost, steps=0)


@ENGINES
@pytest.mark.parametrize("way", [{}, {"handoff": "continuous"}], ids=str)
def test_an_echo_sees_across_the_cut(distill, way):
    engine, echo, made = tiny_engine(distill), ChunkSpec("a tall tree", echo=True), []
    for first in (SHOT_ONE, OTHER_SHOT_ONE):
        state = fresh(engine, [*first, CUT])
        made.append(engine.extend(state, [echo, "end"], **way))
    one, two = made
    assert (
        torch.equal(one.chunks[3].latent, two.chunks[3].latent)
        or relative(one.chunks[3].latent, two.chunks[3].latent) < 1e-5
    )
    assert relative(one.chunks[4].latent, two.chunks[4].latent) > 1e-3
    assert [chunk.at.wall for chunk in one.chunks[3:]] == [3, 3, 3]
    assert one.chunks[4].key != two.chunks[4].key and one.chunks[5].key != two.chunks[5].key


def test_an_echo_in_the_works_is_the_same_however_the_run_is_cut():
    engine, echo = tiny_engine(), ChunkSpec("a tall tree", echo=True)
    whole = fresh(engine, [*SHOT_ONE, CUT, echo, "end"])
    state = engine.copy(cache=EngineCache()).extend(
        fresh(engine, [*SHOT_ONE, CUT]), [echo, "end"], handoff="continuous"
    )
    assert relative(state.latents, whole.latents) < 1e-5
    assert [chunk.key for chunk in state.chunks] == [chunk.key for chunk in whole.chunks]


def test_without_a_wall_an_echo_changes_nothing():
    engine = tiny_engine()
    one, two = (fresh(engine, ["red", ChunkSpec("blue", echo=echo), "green"]) for echo in (False, True))
    assert torch.equal(one.latents, two.latents)
    assert [chunk.key for chunk in one.chunks] == [chunk.key for chunk in two.chunks]


@ENGINES
def test_an_echo_inside_a_shot_takes_its_pages_along(distill):
    engine = tiny_engine(distill, clean_kv_range=3)
    story = [*SHOT_ONE, CUT, ChunkSpec("a tall tree", echo=True), "end", "red", "blue"]
    whole, parts = fresh(engine, story), fresh(engine, story[:6])
    more = engine.copy(cache=EngineCache()).extend(parts, story[6:], handoff="continuous")
    assert relative(more.latents, whole.latents) < 1e-5
    extension = engine.copy(cache=EngineCache()).plan(parts, story[6:])
    assert extension.cost.pages > 0
    clean = engine.copy(cache=EngineCache()).extend(parts, story[6:])
    assert clean.finished == 8


def test_a_plan_of_shots_that_look_back_grows_with_their_number():
    """Every second chunk looks past the wall before it, at all that came before."""
    engine = tiny_engine()
    begun = engine.begin(**SIZE)

    def shots(count: int) -> None:
        told = [CUT if index % 2 else ChunkSpec("back", echo=True) for index in range(count)]
        engine.plan(begun, told)

    assert not grows_evenly(shots, 1500, within=10.0)


def test_a_chunk_that_looks_back_depends_on_every_chunk_before():
    engine = tiny_engine()
    stories = [[first, "green", CUT, ChunkSpec("back", echo=True), "end"] for first in ("red", "blue")]
    one, two = (engine.plan(engine.begin(**SIZE), story).chunks for story in stories)
    assert one[2].key == two[2].key and one[3].key != two[3].key and one[4].key != two[4].key
