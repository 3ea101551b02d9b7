"""A second pass: what its source is held to, what is made anew, and what that costs."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError
from magi_core.sampling import cost, window
from magi_core.sampling.noise import chunk_noise
from magi_core.sampling.second_pass import release_step
from magi_core.sampling.timesteps import timesteps
from magi_core.state import Cancelled, SamplerState, load_state
from magi_core.story.chunk import ChunkSpec
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 16}
PROMPTS = ("red", "blue circle", "", "red", "a tall tree", "it stops", "red", "blue")
STRENGTHS = (0.0, 0.3, 0.5, 0.0, 0.7, 1.0, 0.0, 0.5)
KINDS = [
    {"distill": False, "steps": 8},
    {"distill": True, "steps": 8},
    {"distill": False, "steps": 6, "window": 3, "kv_ranges": (4, 2)},
    {"distill": True, "steps": 8, "window": 2, "kv_ranges": ()},
    {"distill": False, "steps": 4, "clean_kv_range": 2},
    {"distill": True, "steps": 8, "window": 8, "kv_ranges": (3, 2)},
    {"distill": False, "steps": 4, "window": 1},
]


def a_take(engine, chunks: int = 8, seed: int = 7, prefix: int = 0) -> SamplerState:
    given = torch.randn(1, 16, prefix, 2, 4, generator=torch.Generator().manual_seed(3)) if prefix else None
    begun = engine.begin(**SIZE, seed=seed, prefix=given)
    return engine.extend(begun, PROMPTS[:chunks])


def told(strengths=STRENGTHS, **more) -> list[ChunkSpec]:
    return [ChunkSpec(f"{PROMPTS[-1 - i]} green", strength=s, **more) for i, s in enumerate(strengths)]


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return float((one - other).norm() / other.norm()) < 1e-5


def way_notes(state: SamplerState) -> list[str]:
    """Without those on motions that do not join, which a model with random weights makes many of."""
    return [note for note in state.notes if "expect a jump" not in note]


def count_forwards(engine, counted: list[int]):
    return engine.dit.register_forward_pre_hook(lambda _m, args, _k: counted.append(args[1].shape[1]), with_kwargs=True)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_strength_0_is_the_source_bit_for_bit_without_a_forward(kind) -> None:
    engine = tiny_engine(**kind)
    take, counted = a_take(engine), []
    hook = count_forwards(engine, counted)
    begun = engine.begin(**SIZE, seed=1)
    extension = engine.plan(begun, "something else", 8, source=take, strength=0)
    *_, made = engine.run(extension)
    hook.remove()
    assert torch.equal(made.latents, take.latents)
    assert not counted and extension.cost.total == extension.forwards == 0
    assert {fate.kind for fate in extension.chunks} == {"kept"}
    assert [record.key for record in made.chunks] == [record.key for record in take.chunks]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_strength_1_is_a_run_without_a_source_bit_for_bit(kind) -> None:
    engine = tiny_engine(**kind)
    take, begun = a_take(engine), engine.begin(**SIZE, seed=1)
    plain = tiny_engine(**kind).extend(begun, PROMPTS)
    made = engine.extend(begun, PROMPTS, source=take, strength=1)
    assert torch.equal(made.latents, plain.latents)
    assert [record.key for record in made.chunks] == [record.key for record in plain.chunks]


@pytest.mark.parametrize("prefix", [0, 2, 8])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_leaving_out_tied_chunks_that_nobody_needs_changes_nothing(kind, prefix, monkeypatch) -> None:
    engine = tiny_engine(**kind)
    take, begun = a_take(engine), a_take(engine, prefix=prefix).at(prefix // 6)
    story = told(STRENGTHS[: 8 - prefix // 6])
    story[4] = ChunkSpec("a cut", transition="cut", strength=0.5)
    story[5] = ChunkSpec("back", strength=0.8, echo=True)
    extension = engine.plan(begun, story, source=take)
    *_, made = engine.run(extension)
    cost._stage_cost.cache_clear()
    monkeypatch.setattr(window, "_needed", tuple)
    other = tiny_engine(**kind)
    whole_plan = other.plan(begun, story, source=take)
    *_, whole = other.run(whole_plan)
    cost._stage_cost.cache_clear()
    assert close(made.latents, whole.latents)
    assert extension.cost.total < whole_plan.cost.total


def test_up_to_its_release_a_chunk_is_noise_and_source_in_the_share_of_its_timestep() -> None:
    """What the model is shown of every tied chunk, step by step; at its release the first Euler step is made."""
    engine = tiny_engine(steps=8, window=1, kv_ranges=())
    take, begun, seen = a_take(engine, 1), engine.begin(**SIZE, seed=11), []
    hook = engine.dit.register_forward_pre_hook(lambda _m, args, _k: seen.append(args[:2]), with_kwargs=True)
    made = engine.extend(begun, "green", source=take, strength=0.5)
    hook.remove()
    grid, release = timesteps(8), release_step(0.5, engine.settings)
    noise, source = chunk_noise(11, 0, begun.latent_shape), take.chunks[0].latent
    first = seen[0]
    assert float(first[1]) == float(grid[release]), "forwards of tied steps that nobody needs are not made"
    assert torch.allclose(first[0][0], (1 - grid[release]) * noise + grid[release] * source, atol=1e-6)
    assert len({float(t) for _, t in seen}) == 8 - release
    assert not torch.equal(made.latents, take.latents)


def test_a_tied_chunk_that_others_need_is_shown_on_its_line_at_every_step() -> None:
    engine = tiny_engine(True, steps=8)
    take, begun, seen = a_take(engine, 2), engine.begin(**SIZE, seed=11), []
    hook = engine.dit.register_forward_pre_hook(lambda _m, args, _k: seen.append(args[:2]), with_kwargs=True)
    engine.extend(begun, ["green", "green"], source=take, strength=0)
    assert not seen
    engine.extend(begun, [ChunkSpec("green", strength=0), ChunkSpec("green", strength=1)], source=take)
    hook.remove()
    noise, source = chunk_noise(11, 0, begun.latent_shape), take.chunks[0].latent
    together = [(latents[0], times[0]) for latents, times in seen if times.shape[1] == 2][:6]
    assert [float(times[0]) for _, times in together] == [float(t) for t in timesteps(8)[2:8]]
    for latents, times in together:
        assert torch.allclose(latents[:, :6], (1 - times[0]) * noise + times[0] * source, atol=1e-6)


def test_strengths_are_spread_over_the_grid_and_their_ends_are_exact() -> None:
    for settings in (SamplingSettings(steps=8), SamplingSettings(steps=12, window=3), SamplingSettings(steps=64)):
        steps = [release_step(strength / 20, settings) for strength in range(21)]
        assert steps[0] == settings.steps and steps[-1] == 0
        assert all(one >= other for one, other in pairwise(steps))
    eight = [release_step(strength, SamplingSettings(steps=8)) for strength in (0, 0.25, 0.3, 0.5, 0.7, 0.75, 1)]
    assert eight == [8, 7, 6, 5, 4, 4, 0]


def test_every_chunk_is_tied_as_long_wherever_it_stands_unless_it_says_so() -> None:
    engine = tiny_engine(steps=8)
    take, begun = a_take(engine, 5), engine.begin(**SIZE)
    said = [ChunkSpec("green"), ChunkSpec("green"), ChunkSpec("blue", transition="cut"), ChunkSpec("blue")]
    told = engine.plan(begun, [*said, ChunkSpec("blue", strength=0.75, transition="restyle")], source=take)
    assert [new.sight.release for new in told.new.values()] == [5, 5, 5, 5, 4]
    assert engine.retouch(take, said[:2], 1).new[1].sight.release == 5


def test_a_chunk_more_costs_little_more_than_half_a_first_pass_at_half_the_strength() -> None:
    """Distilled, 8 steps, in steady state; pages counted in."""
    engine = tiny_engine(True, steps=8)

    def a_chunk(strength: float) -> float:
        begun, costs = engine.begin(width=16, height=16, seed=1), []
        for chunks in (10, 14):
            given = engine.begin(width=16, height=16, prefix=torch.ones(1, 16, 6 * chunks, 2, 2))
            costs.append(engine.plan(begun, "red", chunks, source=given, strength=strength).cost.total)
        return (costs[1] - costs[0]) / 4

    shares = [a_chunk(strength) / a_chunk(1) for strength in (0, 0.25, 0.5, 0.75)]
    assert shares == pytest.approx([0, 3 / 11, 6 / 11, 7 / 11]) and shares[1] <= 0.4 and shares[2] <= 0.6


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("way", [{"handoff": "continuous"}, {"handoff": "continuous", "drain": False}], ids=str)
def test_in_pieces_it_is_the_same_video(kind, way) -> None:
    engine = tiny_engine(**kind)
    take, story = a_take(engine), told()
    state = begun = engine.begin(**SIZE, seed=1)
    for piece in (story[:3], story[3:5], story[5:]):
        state = engine.extend(state, piece, source=take, **way)
    state = engine.drain(state)
    whole = tiny_engine(**kind).extend(begun, story, source=take)
    assert close(state.latents, whole.latents) and not way_notes(state)
    assert [record.key for record in state.chunks] == [record.key for record in whole.chunks]


@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
def test_saved_while_in_flight_it_goes_on_as_if_it_had_not_been(kind, tmp_path) -> None:
    engine = tiny_engine(**kind)
    take, story = a_take(engine), told()
    begun = engine.begin(**SIZE, seed=1)
    state = engine.extend(begun, story[:5], source=take, drain=False)
    state.save(tmp_path / "a.magi")
    read = load_state(tmp_path / "a.magi")
    assert read.frontier.key == state.frontier.key
    other = tiny_engine(**kind)
    made = other.extend(read, story[5:], source=take, handoff="continuous")
    whole = tiny_engine(**kind).extend(begun, story, source=take)
    assert close(made.latents, whole.latents)
    assert [record.key for record in made.chunks] == [record.key for record in whole.chunks]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_broken_off_anywhere_it_goes_on_bit_for_bit(kind) -> None:
    take, story = a_take(tiny_engine(**kind)), told()
    begun = tiny_engine(**kind).begin(**SIZE, seed=1)
    whole = tiny_engine(**kind).extend(begun, story, source=take)
    for stop in (1, 3, 6, 10, 15, 21, 40):
        asked = iter(range(10**6))
        engine = tiny_engine(**kind)
        try:
            engine.extend(begun, story, source=take, cancelled=lambda: next(asked) >= stop)  # noqa: B023
        except Cancelled as cancelled:
            state = cancelled.state
        else:
            break
        rest = story[state.finished :]
        made = tiny_engine(**kind).extend(state, rest, source=take)
        assert torch.equal(made.latents, whole.latents)
        assert [record.key for record in made.chunks] == [record.key for record in whole.chunks]
        assert state is begun or not state.unfinished or way_notes(made) == ["the run that was broken off goes on"]


def test_a_take_whose_last_chunks_are_its_source_s_is_saved(tmp_path) -> None:
    """The same latent is a finished chunk's and, in the frontier, a source."""
    engine = tiny_engine(steps=8)
    given = engine.begin(**SIZE, prefix=a_take(engine, 3).latents)
    made = engine.extend(engine.begin(**SIZE, seed=1), told((0.5, 0, 0)), source=given)
    made.save(tmp_path / "a.magi")
    read = load_state(tmp_path / "a.magi")
    assert torch.equal(read.latents, made.latents) and read.frontier.key == made.frontier.key


def test_given_frames_win_over_the_source() -> None:
    engine = tiny_engine(steps=8)
    take, begun = a_take(engine, 3), a_take(engine, 2, prefix=2).at(0)
    for strength in (0, 0.5):
        made = engine.extend(begun, PROMPTS[:3], source=take, strength=strength)
        assert torch.equal(made.latents[:, :, :2], begun.prefix)
        assert torch.equal(made.latents[:, :, 2:], take.latents[:, :, 2:]) == (strength == 0)


def test_another_source_or_release_is_another_chunk() -> None:
    engine = tiny_engine(steps=8)
    one, other, begun = a_take(engine), a_take(engine, seed=8), engine.begin(**SIZE, seed=1)

    def key(source, strength):
        return engine.plan(begun, "red", source=source, strength=strength).chunks[0].key

    keys = [key(take, strength) for take in (one, other) for strength in (0, 0.3, 0.5)]
    assert len({*keys, engine.plan(begun, "red").chunks[0].key}) == 7
    assert key(one, 0.5) == key(one, 0.52), "the same step of the grid is the same chunk"


def test_what_cannot_be_is_told_before_anything_runs() -> None:
    engine = tiny_engine(steps=8)
    take, begun = a_take(engine, 2), engine.begin(**SIZE)
    with pytest.raises(MagiError, match="chunk 0 has strength 0.5 and nothing to be made from"):
        engine.plan(begun, [ChunkSpec("red", strength=0.5)])
    with pytest.raises(MagiError, match="chunk 2 has strength 0.5.*longer than its 2"):
        engine.plan(begun, [ChunkSpec("red", strength=0.5)] * 3, source=take)
    with pytest.raises(MagiError, match="32x16 where this video is 16x16"):
        engine.plan(engine.begin(width=16, height=16), "red", source=take)
    with pytest.raises(MagiError, match="from 0, the source stays, to 1"):
        engine.plan(begun, "red", source=take, strength=1.5)
    with pytest.raises(MagiError, match="no finished chunk"):
        engine.plan(begun, "red", source=begun)


@pytest.mark.parametrize("said", ["continue", "cut"])
@pytest.mark.parametrize("was", ["continue", "cut", "echo"])
def test_a_chunk_that_stays_stays_in_its_shot_whatever_is_asked_of_it(was, said) -> None:
    """So the video is the same in one run, in pieces, and where it was broken off."""
    engine = tiny_engine(steps=8)
    story = [ChunkSpec(words) for words in PROMPTS]
    story[2] = ChunkSpec("a tree", transition="cut")
    story[3] = ChunkSpec("a tree", transition="cut" if was == "cut" else "continue", echo=was == "echo")
    take, begun = engine.extend(engine.begin(**SIZE, seed=7), story), engine.begin(**SIZE, seed=1)
    again = [ChunkSpec("green", strength=0.5)] * 8
    again[3] = ChunkSpec("green", strength=0, transition=said)
    whole = engine.extend(begun, again, source=take)
    cuts = [record.spec.transition == "cut" for record in whole.chunks]
    assert cuts == [was == "cut" and index == 3 for index in range(8)]
    for count in (4, 5):
        new = tiny_engine(steps=8)
        first = new.extend(begun, again[:count], source=take, drain=False)
        assert torch.equal(new.extend(first, again[count:], source=take).latents, whole.latents), count
    events: list = []
    with pytest.raises(Cancelled) as broken:
        tiny_engine(steps=8).extend(
            begun, again, source=take, on_step=events.append, cancelled=lambda: bool(events) and events[-1].done == 4
        )
    state = broken.value.state
    on = tiny_engine(steps=8).extend(state, state.unfinished.asked(state.finished), source=take)
    assert "the run that was broken off goes on" in on.notes and torch.equal(on.latents, whole.latents)
