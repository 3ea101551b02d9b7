"""What a transition lets a chunk see."""

from __future__ import annotations

import pytest
import torch

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError
from magi_core.story.storyboard import ChunkSpec
from magi_core.story.transitions import TRANSITIONS, chunk_ranges, transition_ranges
from tests.unit.story.runs import ENGINES, SIZE, relative, render
from tools.small_models import tiny_engine


@pytest.mark.parametrize(
    ("transition", "table", "ranges"),
    [
        ("continue", (5, 4, 3, 2), None),
        ("continue", (), None),
        ("new_shot", (5, 4, 3, 2), (1, 1, 3, 2)),
        ("restyle", (5, 4, 3, 2), (5, 4, 1, 1)),
        ("cut", (5, 4, 3, 2), (1, 1, 1, 1)),
        ("new_shot", (5, 4, 3), (1, 4, 3)),
        ("restyle", (5, 4, 3), (5, 4, 1)),
        ("new_shot", (5, 2), (1, 2)),
        ("restyle", (5, 2), (5, 1)),
        ("cut", (5,), (1,)),
        ("cut", (), (1,)),
    ],
)
def test_transitions_limit_what_a_chunk_sees(transition, table, ranges):
    assert transition_ranges(transition, table) == ranges


@pytest.mark.parametrize("transition", ["new_shot", "restyle"])
@pytest.mark.parametrize(("table", "given"), [((), "no KV ranges"), ((5,), "only one KV range")])
def test_half_a_table_needs_two_halves(transition, table, given):
    with pytest.raises(MagiError, match=f"'{transition}' changes half .* {given}"):
        transition_ranges(transition, table)


@ENGINES
@pytest.mark.parametrize(
    "other", [["tree", "blue circle"], [ChunkSpec("red", 7), ChunkSpec("blue circle", -1)]], ids=["prompts", "noise"]
)
def test_a_cut_chunk_does_not_depend_on_earlier_chunks_at_all(distill, other):
    engine, cut = tiny_engine(distill), ChunkSpec("green", transition="cut")
    one, two = (render(engine, [*before, cut]) for before in (["red", "blue circle"], other))
    assert relative(one.chunks[0].latent, two.chunks[0].latent) > 1e-3
    assert torch.equal(one.chunks[2].latent, two.chunks[2].latent)


@ENGINES
def test_the_more_a_transition_hides_the_less_earlier_chunks_matter(distill):
    engine, influence, results = tiny_engine(distill), {}, {}
    for transition in TRANSITIONS:
        last = ChunkSpec("green", transition=transition)
        one, two = (render(engine, [ChunkSpec("red", seed), "blue", last]).chunks[2].latent for seed in (0, 1))
        influence[transition], results[transition] = relative(two, one), one
    print(influence)
    assert 0 == influence["cut"] < min(influence["new_shot"], influence["restyle"])
    assert max(influence["new_shot"], influence["restyle"]) < influence["continue"]
    names = list(TRANSITIONS)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert relative(results[name], results[other]) > 1e-3


def test_ranges_of_a_chunks_own_say_the_same_as_the_transition_they_spell():
    engine = tiny_engine()
    named = render(engine, ["red", ChunkSpec("blue", transition="new_shot"), "green"])
    spelled = render(engine, ["red", ChunkSpec("blue", kv_ranges=(1, 1, 3, 2)), "green"])
    plain, same = (render(engine, ["red", ChunkSpec("blue", kv_ranges=r), "green"]) for r in (None, (5, 4, 3, 2)))
    assert torch.equal(named.latents, spelled.latents) and torch.equal(plain.latents, same.latents)
    assert relative(named.chunks[1].latent, plain.chunks[1].latent) > 1e-3


def test_a_cut_works_where_chunks_see_the_whole_history_or_finished_chunks_see_others():
    for settings in ({"kv_ranges": ()}, {"clean_kv_range": -1}, {"window": 1}):
        engine, cut = tiny_engine(**settings), ChunkSpec("green", transition="cut")
        one, two = (render(engine, [first, "blue", cut, "end"]) for first in ("red", "big"))
        assert torch.equal(one.chunks[2].latent, two.chunks[2].latent)


@pytest.mark.parametrize("transition", ["new_shot", "restyle", "cut"])
def test_a_transition_leaves_earlier_chunks_as_they_were(transition):
    engine = tiny_engine()
    plain = render(engine, ["red", "blue", "green"])
    changed = engine.extend(engine.begin(**SIZE), ["red", "blue", ChunkSpec("green", transition=transition)])
    assert torch.equal(changed.latents[:, :, :12], plain.latents[:, :, :12]), "handed-out chunks keep their bits"
    again = render(engine, ["red", "blue", ChunkSpec("green", transition=transition)])
    torch.testing.assert_close(again.latents, changed.latents, rtol=0, atol=1e-5)
    assert relative(changed.chunks[2].latent, plain.chunks[2].latent) > 1e-3


def test_a_half_needs_a_table_in_the_engine_too():
    engine = tiny_engine(kv_ranges=(), clean_kv_range=1)
    with pytest.raises(MagiError, match="chunk 1 of these 2: 'new_shot' changes half"):
        engine.extend(engine.begin(**SIZE), ["a", ChunkSpec("b", transition="new_shot")])


def test_without_a_table_any_reach_is_possible():
    assert chunk_ranges("continue", (9, 1), SamplingSettings(steps=8, kv_ranges=())) == (9, 1)
