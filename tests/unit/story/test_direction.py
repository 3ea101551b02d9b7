"""Per-chunk direction: what a transition lets a chunk see, rerolls, special tokens, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import magi_core
from magi_core.cache.engine_cache import EngineCache
from magi_core.config import SamplingSettings
from magi_core.errors import MagiError
from magi_core.state import load_state
from magi_core.state.story import story_of
from magi_core.story.direction import DirectedPrompt
from magi_core.story.storyboard import ChunkSpec, Storyboard, parse_storyboard
from magi_core.story.transitions import TRANSITIONS, chunk_ranges, transition_ranges
from magi_core.text import SpecialTokens
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES
from tests.tiny import CHANNELS, WordEncoder, tiny_engine

SIZE = {"width": 32, "height": 32}
ENGINES = pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
LONG_RUN = {"handoff": "continuous"}


def render(engine, directions, **begin):
    """All chunks in one run, without anything remembered."""
    engine.cache.clear()
    return engine.extend(engine.begin(**SIZE, **begin), directions)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


# --- what a chunk sees --------------------------------------------------------------------------------------


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


# --- noise and tokens ---------------------------------------------------------------------------------------


def test_a_reroll_changes_its_chunk_and_those_after_it_only():
    engine, prompts = tiny_engine(), ["red", "blue", "green", "tree"]
    plain = render(engine, prompts, seed=5)
    rerolled = render(engine, ["red", "blue", ChunkSpec("green", 2), "tree"], seed=5)
    assert [c.seed for c in rerolled.chunks] == [5, 5, 7, 5]
    torch.testing.assert_close(rerolled.latents[:, :, :12], plain.latents[:, :, :12], rtol=0, atol=1e-5)
    for index in (2, 3):
        assert relative(rerolled.chunks[index].latent, plain.chunks[index].latent) > 1e-3
    remembered = engine.extend(engine.begin(**SIZE, seed=5), ["red", "blue", ChunkSpec("green", 2), "tree"])
    assert torch.equal(remembered.latents, rerolled.latents)


@pytest.mark.parametrize("transition", ["new_shot", "restyle", "cut"])
def test_a_transition_leaves_earlier_chunks_as_they_were(transition):
    engine = tiny_engine()
    plain = render(engine, ["red", "blue", "green"])
    changed = engine.extend(engine.begin(**SIZE), ["red", "blue", ChunkSpec("green", transition=transition)])
    assert torch.equal(changed.latents[:, :, :12], plain.latents[:, :, :12]), "handed-out chunks keep their bits"
    again = render(engine, ["red", "blue", ChunkSpec("green", transition=transition)])
    torch.testing.assert_close(again.latents, changed.latents, rtol=0, atol=1e-5)
    assert relative(changed.chunks[2].latent, plain.chunks[2].latent) > 1e-3


def test_special_tokens_of_a_chunk_go_before_the_prompts_and_the_settings():
    rows = {
        n: torch.randn(CHANNELS, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(SPECIAL_TOKEN_NAMES)
    }
    plain = tiny_engine()
    engine = plain.copy(special_tokens=SpecialTokens(rows))
    hq = render(engine.with_settings(special_tokens=("HQ",)), "red").latents
    assert torch.equal(render(engine, ChunkSpec("red", special_tokens=("hq",))).latents, hq)
    prompt = replace(WordEncoder().encode("red"), special_tokens=("THREE_D_MODEL",))
    assert torch.equal(render(engine, DirectedPrompt(ChunkSpec("red", special_tokens=("HQ",)), prompt)).latents, hq)
    none = render(engine.with_settings(special_tokens=("HQ",)), ChunkSpec("red", special_tokens=())).latents
    assert torch.equal(none, render(plain, "red").latents) and relative(none, hq) > 1e-3
    with pytest.raises(MagiError, match="special_tokens.npz"):
        render(plain, ChunkSpec("red", special_tokens=("HQ",)))


# --- storyboards in the engine ------------------------------------------------------------------------------

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


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directions", "chunks", "message"),
    [
        ([ChunkSpec("red", kv_ranges=(1, 1, 1))], 1, "chunk 0 of these 1: 3 KV ranges cannot share 8 steps .* 4"),
        (["a", ChunkSpec("red", kv_ranges=(6, 1))], 1, "chunk 1 of these 2: a KV range of 6 .* at most 5"),
        (ChunkSpec("a"), 0, "chunks must be at least 1"),
        (parse_storyboard("0-2: a"), 2, "3 prompts for 2 chunks"),
        ([], 1, "there is no prompt"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(directions, chunks, message):
    engine = tiny_engine()
    engine = engine.copy(text_encoder=None)  # nothing may be encoded before the check
    with pytest.raises(MagiError, match=message):
        engine.extend(engine.begin(**SIZE), directions, chunks)


def test_a_half_needs_a_table_in_the_engine_too():
    engine = tiny_engine(kv_ranges=(), clean_kv_range=1)
    with pytest.raises(MagiError, match="chunk 1 of these 2: 'new_shot' changes half"):
        engine.extend(engine.begin(**SIZE), ["a", ChunkSpec("b", transition="new_shot")])


def test_without_a_table_any_reach_is_possible():
    assert chunk_ranges("continue", (9, 1), SamplingSettings(steps=8, kv_ranges=())) == (9, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transition": "wipe"}, "unknown transition 'wipe'"),
        ({"kv_ranges": ()}, "KV ranges count the chunk itself"),
        ({"transition": "cut", "kv_ranges": (1,)}, "not both"),
        ({"seed_offset": 1.5}, "a reroll is a whole number"),
        ({"special_tokens": ("GLITTER",)}, "no special token 'GLITTER'"),
    ],
)
def test_chunks_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(MagiError, match=message):
        ChunkSpec("red", **fields)


def test_a_take_says_what_was_asked_of_it(tmp_path):
    board = parse_storyboard(
        "0-1 [tokens hq, anime]: red\n2 [cut] [reroll 3]: blue\n3 [ranges 1,1,3,2]: green\n4: red\n"
    )
    rows = {name: torch.randn(CHANNELS) for name in SPECIAL_TOKEN_NAMES}
    engine = tiny_engine().copy(special_tokens=SpecialTokens(rows))
    state = engine.extend(engine.begin(**SIZE, seed=11), board, drain=False)
    state.save(tmp_path / "take.magi")
    assert story_of(state) == board and story_of(load_state(tmp_path / "take.magi")) == board
    other = engine.copy(fingerprint="another model").drain(state)
    assert story_of(other) == board, "also where chunks in flight were begun again"
