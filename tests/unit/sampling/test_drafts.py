"""Drafts: which steps go on as the one before went, that this is all that is other, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest
import torch

from magi_core.config import DRAFTS, SamplingSettings
from magi_core.errors import MagiError
from magi_core.sampling import cost, drafts, window
from magi_core.sampling.drafts import carried_to
from magi_core.sampling.timesteps import timesteps
from magi_core.sampling.window import Sight, Slot, plan_stage
from magi_core.state import Cancelled, load_state
from magi_core.story.chunk import ChunkSpec
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 16}
PROMPTS = ("red", "blue circle", "", "red", "a tall tree", "it stops")
KINDS = [
    {"distill": False, "steps": 16},
    {"distill": True, "steps": 8},
    {"distill": False, "steps": 12, "window": 3, "kv_ranges": (4, 2)},
    {"distill": True, "steps": 16, "window": 2, "kv_ranges": ()},
    {"distill": False, "steps": 8, "clean_kv_range": 2},
    {"distill": False, "steps": 6, "window": 1, "kv_ranges": (2,)},
]
STORIES = {
    "prompts": PROMPTS,
    "cuts": [
        ChunkSpec("red"),
        ChunkSpec("blue", transition="cut"),
        ChunkSpec("tall", kv_ranges=(1,)),
        ChunkSpec("red", echo=True),
        ChunkSpec("red", transition="cut"),
    ],
}


def count_forwards(engine, counted: list[int]):
    return engine.dit.register_forward_pre_hook(lambda _m, args, _k: counted.append(args[1].shape[1]), with_kwargs=True)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return float((one - other).norm() / other.norm()) < 1e-5


def looked_at(settings: SamplingSettings, release: int = 0) -> list[int]:
    return [step for step in range(settings.steps) if carried_to(step, release, settings) is not None]


def test_a_light_draft_leaves_the_last_quarter_whole_and_a_strong_one_does_not() -> None:
    light, strong = (SamplingSettings(steps=16, draft=name) for name in DRAFTS)
    assert looked_at(light) == [0, 2, 4, 6, 8, 10, 12, 13, 14, 15]
    assert looked_at(strong) == list(range(0, 16, 2))
    assert looked_at(SamplingSettings(steps=16)) == list(range(16))


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(("steps", "many"), [(8, 4), (16, 4), (12, 3), (64, 4), (9, 3), (10, 2), (6, 1)])
@pytest.mark.parametrize("release", [0, 1, 3, 5])
def test_every_step_is_taken_once_and_the_first_of_a_stage_and_of_freedom_is_looked_at(draft, steps, many, release):
    settings = SamplingSettings(steps=steps, window=many, kv_ranges=(2,), draft=draft)
    looks = looked_at(settings, release)
    assert [carried_to(step, release, settings) for step in looks] == [*looks[1:], steps]
    firsts = range(0, steps, steps // many)
    assert {release, *(step for step in firsts if step > release)} <= set(looks) and min(looks) == release


def test_a_held_chunk_goes_on_as_it_went_by_hand() -> None:
    """One chunk alone: its own velocities, each used for two steps."""
    settings = {"window": 1, "steps": 8, "kv_ranges": (1,), "guidance": replace(SamplingSettings().guidance)}
    engine = tiny_engine(draft="strong", **settings)
    begun, asked = engine.begin(**SIZE, seed=5), []
    inputs = engine.dit.register_forward_hook(lambda _m, args, out: asked.append((args[0][0], float(args[1][0, 0]))))
    made = engine.extend(begun, "red")
    inputs.remove()
    grid = [float(t) for t in timesteps(8)]
    assert sorted({t for _, t in asked}) == grid[:8:2]
    starts = [next(latent for latent, t in asked if t == time) for time in grid[:8:2]] + [made.chunks[0].latent]
    whole = tiny_engine(**settings)
    for k, (start, end) in enumerate(pairwise(starts)):
        velocity = _velocity(whole, start, 2 * k)
        assert torch.allclose(start + (grid[2 * k + 2] - grid[2 * k]) * velocity, end, atol=1e-5)


def _velocity(engine, latent: torch.Tensor, step: int) -> torch.Tensor:
    from magi_core.sampling.forward import ForwardInput, Predictor

    settings = engine.settings
    null = engine.dit.text_context(engine.texts.null(settings).tokens)
    text = engine.dit.text_context(engine.texts.ask(settings, "red", None, None).read(settings).tokens)
    predictor = Predictor(engine.dit, engine.attention, settings, null)
    (plan,) = (p for p in plan_stage([Slot(0, 0)], 0, settings) if p.step == step)
    (velocity,) = predictor(plan, [ForwardInput(latent, predictor.timestep(step), text)], {})
    return velocity


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_price_is_what_is_spent_and_less_than_without(kind, draft, story) -> None:
    engine, counted = tiny_engine(draft=draft, **kind), []
    extension = engine.plan(engine.begin(**SIZE, seed=7), story)
    hook, steps = count_forwards(engine, counted), []
    *_, _made = engine.run(extension, on_step=steps.append)
    hook.remove()
    assert sum(counted) == extension.cost.total
    assert len(steps) == extension.forwards == steps[-1].steps
    plain = tiny_engine(**kind)
    assert extension.cost.steps < plain.plan(plain.begin(**SIZE, seed=7), story).cost.steps


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_leaving_out_what_nobody_looks_at_changes_nothing(kind, draft, story) -> None:
    """As a run in which every chunk in flight is in every forward."""

    def made():
        engine = tiny_engine(draft=draft, **kind)
        return engine.extend(engine.begin(**SIZE, seed=7), story).latents

    cost._stage_cost.cache_clear()
    with patch.object(window, "_needed", tuple):
        whole = made()
    cost._stage_cost.cache_clear()
    assert close(made(), whole)


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_noisier_chunk_reads_a_held_one_where_it_is_by_then(draft) -> None:
    """A held chunk runs where a noisier one is looked at: at the latent and the timestep that it has come to."""
    engine, seen = tiny_engine(steps=16, draft=draft), []
    hook = engine.dit.register_forward_hook(lambda _m, args, _o: seen.append(args[1][0].tolist()))
    with patch.object(drafts, "_held", lambda step, settings: step % 4 == 1 and step >= 12):
        cost._stage_cost.cache_clear()
        engine.extend(engine.begin(**SIZE), PROMPTS)
    cost._stage_cost.cache_clear()
    hook.remove()
    grid = [float(t) for t in timesteps(16)]
    assert any(grid[13] in times and grid[9] in times for times in seen)


def test_off_has_the_keys_it_had_before_there_were_drafts() -> None:
    engine = tiny_engine(True)
    keys = [chunk.key for chunk in engine.plan(engine.begin(**SIZE), ["red", "blue"]).chunks]
    assert [key[:16] for key in keys] == ["b06163e4e26b8f88", "10c94b67d314e312"]


def test_a_draft_is_another_take_and_nothing_of_one_is_taken_for_the_other() -> None:
    engine = tiny_engine(True)
    begun = engine.begin(**SIZE)
    takes = [engine.extend(begun, PROMPTS)]
    for draft in DRAFTS:
        extension = engine.plan(begun, PROMPTS, settings=engine.settings.with_changes(draft=draft))
        assert {fate.kind for fate in extension.chunks} == {"computed"}
        *_, made = engine.run(extension)
        takes.append(made)
    keys = [chunk.key for take in takes for chunk in take.chunks]
    assert len(set(keys)) == len(keys)
    again = engine.plan(begun, PROMPTS, settings=engine.settings.with_changes(draft="light"))
    assert again.cost.total == 0


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("distill", [False, True])
def test_broken_off_anywhere_it_goes_on_bit_for_bit(tmp_path, draft, distill) -> None:
    settings = {"draft": draft, "distill": distill, "steps": 16}
    engine = tiny_engine(**settings)
    begun = engine.begin(**SIZE, seed=3)
    *parts, whole = engine.stream(begun, PROMPTS)
    for state in parts:
        state.save(tmp_path / "a.magi")
        left = load_state(tmp_path / "a.magi")
        made = tiny_engine(**settings).extend(left, left.unfinished.asked(left.finished))
        assert torch.equal(made.latents, whole.latents) and made.settings.draft == draft


def test_stopped_in_the_middle_of_a_stage_it_goes_on_bit_for_bit(tmp_path) -> None:
    engine, calls = tiny_engine(steps=16, draft="light"), []
    begun = engine.begin(**SIZE, seed=3)
    whole = tiny_engine(steps=16, draft="light").extend(begun, PROMPTS)

    def cancelled() -> bool:
        calls.append(None)
        return len(calls) == 60

    with pytest.raises(Cancelled) as stopped:
        engine.extend(begun, PROMPTS, cancelled=cancelled)
    state = stopped.value.state
    state.save(tmp_path / "a.magi")
    left = load_state(tmp_path / "a.magi")
    made = tiny_engine(steps=16, draft="light").extend(left, left.unfinished.asked(left.finished))
    assert torch.equal(made.latents, whole.latents)


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("distill", [False, True])
def test_a_second_pass_of_a_draft_is_priced_and_made(draft, distill) -> None:
    engine, counted = tiny_engine(distill, steps=16, draft=draft), []
    take = engine.extend(engine.begin(**SIZE, seed=7), PROMPTS)
    told = [ChunkSpec("green", strength=s) for s in (0.0, 0.3, 0.5, 0.9, 1.0, 0.7)]
    extension = engine.plan(engine.begin(**SIZE, seed=1), told, source=take)
    hook = count_forwards(engine, counted)
    *_, made = engine.run(extension)
    hook.remove()
    assert sum(counted) == extension.cost.total
    assert torch.equal(made.chunks[0].latent, take.chunks[0].latent)


@pytest.mark.parametrize("draft", ["off", *DRAFTS])
def test_chunks_in_flight_come_nearer_with_every_step_and_arrive(draft) -> None:
    engine, times = tiny_engine(steps=16, draft=draft), {}
    for _ in engine.stream(
        engine.begin(**SIZE),
        PROMPTS,
        on_step=lambda event: [times.setdefault(c.index, []).append(c.t) for c in event.in_flight],
    ):
        pass
    assert all(way == sorted(way) and way[-1] == pytest.approx(1) for way in times.values())


def test_a_take_without_a_draft_says_nothing_of_drafts_and_one_without_a_word_has_none(tmp_path) -> None:
    from magi_core.state.serialise import head_parts

    state = tiny_engine().begin(**SIZE)
    assert "draft" not in head_parts(state)[0]["settings"]
    state.save(tmp_path / "a.magi")
    assert load_state(tmp_path / "a.magi").settings == state.settings


def test_what_differs_is_said_in_words() -> None:
    engine = tiny_engine(steps=16)
    take = engine.extend(engine.begin(**SIZE), "red")
    settings = take.settings.with_changes(draft="strong")
    *_, made = engine.run(engine.plan(take, "red", handoff="continuous", settings=settings))
    assert any("draft was off, is strong" in note for note in made.notes)


def test_a_draft_that_is_none_and_one_without_steps_to_leave_out_are_refused() -> None:
    with pytest.raises(MagiError, match="unknown draft 'fast': use off, light or strong"):
        SamplingSettings(draft="fast")
    engine = tiny_engine(steps=4, draft="light")
    with pytest.raises(MagiError, match="use 8 steps or more"):
        engine.plan(engine.begin(**SIZE), "red")


def test_a_walled_chunk_lets_cleaner_ones_be_left_out() -> None:
    """Behind a cut a noisier chunk does not look at them, so they are in no forward in which they are held."""
    settings = SamplingSettings(steps=8, draft="strong")
    slots = [Slot(3, 1), Slot(4, 0)]
    with patch.object(drafts, "_held", lambda step, settings: step == 3):
        apart = list(plan_stage(slots, 3, settings, lambda i: Sight(first=4 if i == 4 else 0)))
        together = list(plan_stage(slots, 3, settings))
    assert [[chunk.index for chunk in plan.chunks] for plan in apart] == [[3, 4], [4]]
    assert [[chunk.index for chunk in plan.chunks] for plan in together] == [[3, 4], [3, 4]]
