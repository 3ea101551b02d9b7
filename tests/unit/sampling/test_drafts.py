"""Drafts: which steps go on as the one before went, that this is all that is other, and what it costs."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from magi_core.config import DRAFTS, Guidance, SamplingSettings
from magi_core.dit import KVLayer
from magi_core.errors import MagiError
from magi_core.sampling import cost, window
from magi_core.sampling.drafts import carried_to, pages_held
from magi_core.sampling.loop import Loop
from magi_core.sampling.timesteps import timesteps
from magi_core.sampling.window import Slot, plan_stage, stages
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


def looked_at(settings: SamplingSettings) -> list[int]:
    return [step for step in range(settings.steps) if carried_to(step, 0, settings) is not None]


def test_a_light_draft_leaves_the_first_quarter_whole_and_a_strong_one_does_not() -> None:
    light, strong = (SamplingSettings(steps=16, draft=name) for name in DRAFTS)
    assert looked_at(light) == [0, 1, 2, 3, 4, 6, 8, 10, 12, 14]
    assert looked_at(strong) == list(range(0, 16, 2))
    assert looked_at(SamplingSettings(steps=16)) == list(range(16))


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize(("steps", "many"), [(8, 4), (16, 4), (12, 3), (64, 4), (9, 3), (10, 2), (6, 1)])
def test_every_step_is_taken_once_and_the_first_of_a_stage_is_looked_at(draft, steps, many):
    settings = SamplingSettings(steps=steps, window=many, kv_ranges=(2,), draft=draft)
    looks = looked_at(settings)
    assert [carried_to(step, 0, settings) for step in looks] == [*looks[1:], steps]
    assert set(range(0, steps, steps // many)) <= set(looks)


@pytest.mark.parametrize("draft", DRAFTS)
def test_those_that_are_held_are_the_oldest_and_what_is_kept_is_what_is_read(draft):
    for steps, many in ((8, 4), (16, 4), (12, 3), (10, 2), (32, 8)):
        settings = SamplingSettings(steps=steps, window=many, kv_ranges=(5, 2), draft=draft)
        for slots in stages(0, 2 * many, many):
            kept: set[int] = set()
            for forward in plan_stage(slots, 0, settings):
                there = {chunk.index for chunk in forward.chunks}
                read = {slot.index for slot in slots} & set(forward.history)
                assert all(index < min(there) for index in read) and read <= kept - there
                kept = kept - there | set(forward.keep)


def test_a_held_chunk_goes_on_as_it_went_by_hand() -> None:
    """One chunk alone: its own velocities, each used for two steps."""
    settings = {"window": 1, "steps": 8, "kv_ranges": (1,), "guidance": SamplingSettings().guidance}
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
def test_a_held_chunk_is_attended_to_as_it_was_looked_at_last(kind, draft, story, monkeypatch) -> None:
    """As a run in which every chunk is in every forward, the held ones again as at their last look."""

    def made():
        cost._stage_cost.cache_clear()
        engine = tiny_engine(draft=draft, **kind)
        return engine.extend(engine.begin(**SIZE, seed=7), story).latents

    left_out, looks, latents = made(), {}, {}
    before = Loop._before

    def again(chunks):
        looks.update({chunk.index: chunk for chunk in chunks if not chunk.held})
        return tuple(replace(looks[chunk.index], until=chunk.until) for chunk in chunks)

    def as_then(self, chunk, step):
        return latents.setdefault((chunk.index, step), before(self, chunk, step))

    monkeypatch.setattr(window, "_needed", again)
    monkeypatch.setattr(Loop, "_before", as_then)
    whole = made()
    cost._stage_cost.cache_clear()
    assert close(left_out, whole)


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


@pytest.mark.parametrize("drain", [True, False])
def test_a_second_pass_is_made_whole(drain) -> None:
    engine, whole = (tiny_engine(steps=8, draft=draft) for draft in ("light", "off"))
    take = engine.extend(engine.begin(**SIZE, seed=7), PROMPTS)
    told = [ChunkSpec("green", strength=s) for s in (0.0, 0.3, 0.5, 0.9)]
    passes = [
        one.extend(one.begin(**SIZE, seed=1), told, source=take, drain=drain, settings=settings)
        for one, settings in ((engine, None), (whole, None), (whole, engine.settings))
    ]
    ends = [engine.extend(one, "red", settings=settings) for one in passes for settings in (None, engine.settings)]
    assert {one.settings.draft for one in passes} == {"off"}
    said = ["a second pass is made whole: no draft" in one.notes for one in passes]
    assert said == [True, False, True]
    for one in passes:
        assert torch.equal(one.latents, passes[1].latents)
    drafted = {end.settings.draft for end in ends[1::2]}
    assert drafted == ({"light"} if drain else {"off"}), "what is in flight of a second pass is made whole, too"


@pytest.mark.parametrize("draft", DRAFTS)
def test_the_memory_of_held_chunks_is_told(draft) -> None:
    needs = []
    for name in ("off", draft):
        engine = tiny_engine(True, steps=8, draft=name)
        needs.append(engine.plan(engine.begin(**SIZE), PROMPTS).need.pages)
    engine.extend(engine.begin(**SIZE), PROMPTS)
    page = engine.cache.pages.stats.bytes // engine.cache.pages.stats.entries
    assert needs[1] - needs[0] == (3 * page if draft == "light" else 0)


@pytest.mark.parametrize("distill", [False, True])
def test_no_more_is_held_than_was_told(distill, monkeypatch) -> None:
    """Four steps a stage: chunks are looked at again, and their last look is not kept beside it."""
    engine, of = tiny_engine(distill, steps=16, draft="light"), KVLayer.of.__func__
    alive, counts = weakref.WeakSet(), []

    def counted(cls, *given):
        made = of(cls, *given)
        alive.add(made)
        counts.append(len(alive))
        return made

    monkeypatch.setattr(KVLayer, "of", classmethod(counted))
    engine.extend(engine.begin(**SIZE), PROMPTS)
    again = 0 if distill else 1  # the newest finished chunk, under a text's condition
    assert max(counts) <= engine.dit.config.num_layers * (pages_held(engine.settings, distill) + again)


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


def test_guidance_that_begins_again_has_no_draft() -> None:
    guidance = Guidance(knots=(0.0, 0.1, 0.3), previous=(1.5, 1.0, 1.0), text=(5.0, 0.0, 2.0))
    engine = tiny_engine(steps=8, draft="light", guidance=guidance)
    with pytest.raises(MagiError, match="does not begin again"):
        engine.plan(engine.begin(**SIZE), "red")
