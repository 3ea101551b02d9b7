"""What an engine remembers changes what an extend costs, never what it makes."""

from __future__ import annotations

import pytest
import torch

from magi_core.cache.engine_cache import EngineCache
from magi_core.errors import MagiError
from magi_core.state import Cancelled
from magi_core.story.chunk import ChunkSpec
from magi_core.text.conditioning import PromptEmbedding
from tools.small_models import WordEncoder, tiny_engine

SIZE = {"width": 32, "height": 32}


@pytest.fixture(params=[False, True], ids=["base", "distill"])
def engine(request):
    return tiny_engine(request.param).copy(cache=EngineCache())


def forgetful(engine):
    return engine.copy(cache=EngineCache())


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("forgotten", [(), ("frontiers",), ("chunks",)], ids=str)
def test_what_is_to_stay_in_flight_does_also_when_it_was_finished_before(engine, forgotten):
    begun = engine.begin(**SIZE)
    engine.extend(begun, ["red"] * 3)
    for name in forgotten:
        getattr(engine.cache, name).clear()
    flying = engine.extend(begun, ["red"] * 3, drain=False)
    assert len(flying.pending) == 3 and not flying.chunks
    other = forgetful(engine)
    expected = other.extend(other.extend(begun, ["red"] * 3, drain=False), "blue", 2)
    assert relative(engine.extend(flying, "blue", 2).latents, expected.latents) < 1e-5


def test_chunks_in_flight_are_called_what_they_were_asked_for(engine):
    begun = engine.begin(**SIZE)
    engine.extend(begun, ["red", "blue", "green", "tree"], drain=False)
    again = engine.extend(begun, ["red", "blue", ChunkSpec("green", echo=True), "tree"], drain=False)
    assert [chunk.at.spec.echo for chunk in again.pending] == [False, True, False]


def test_an_extension_is_read_by_the_text_encoder_that_planned_it(engine):
    class Other(WordEncoder):
        def origin(self, prompt: str) -> str:
            return f"other {prompt}"

        def encode(self, prompt: str) -> PromptEmbedding:
            return PromptEmbedding(prompt, -super().encode(prompt).tokens, origin=self.origin(prompt))

    begun = engine.begin(**SIZE)
    extension = engine.plan(begun, "red", 2)
    *_, made = engine.copy(text_encoder=Other()).run(extension)
    assert relative(made.latents, forgetful(engine).extend(begun, "red", 2).latents) < 1e-5


def test_another_model_cannot_run_a_plan(engine):
    extension = engine.plan(engine.begin(**SIZE), "red")
    with pytest.raises(MagiError, match="planned with another model"):
        engine.copy(fingerprint="another").run(extension)


@pytest.mark.parametrize("window", [3, 6])
def test_a_distilled_model_takes_steps_of_one_size_in_a_forward(window):
    engine = tiny_engine(True, steps=12, window=window)
    with pytest.raises(MagiError, match="use a window of 1, 2, 4, or"):
        engine.plan(engine.begin(**SIZE), "red")
    tiny_engine(False, steps=12, window=window).plan(engine.begin(**SIZE), "red")


@pytest.mark.parametrize("settings", [{}, {"kv_ranges": (), "clean_kv_range": 1}], ids=str)
@pytest.mark.parametrize("place", [5, 6, 7])
def test_an_edit_at_a_cut_leaves_later_echoes_as_a_fresh_run_makes_them(settings, place):
    engine = tiny_engine(**settings).copy(cache=EngineCache())
    begun, story = engine.begin(**SIZE), ["red", "blue", "green", None, "tree", "end", "red", "blue"]
    story[place] = ChunkSpec("big", echo=True)
    for prompt in ("it stops", "green"):
        story[3] = ChunkSpec(prompt, transition="cut")
        made = engine.extend(begun, story)
    expected = forgetful(engine).extend(begun, story)
    assert [c.key for c in made.chunks] == [c.key for c in expected.chunks]
    for one, two in zip(made.chunks, expected.chunks, strict=True):
        assert relative(one.latent, two.latent) < 1e-5


def test_with_the_references_quirks_a_partly_given_chunk_keeps_its_pages_apart():
    engine = tiny_engine(reference_quirks=True).copy(cache=EngineCache())
    given = torch.randn(1, 16, 8, 4, 4, generator=torch.Generator().manual_seed(3))
    begun = engine.begin(**SIZE, prefix=given)
    state = engine.extend(begun, "red", 3)
    expected = forgetful(engine).extend(state, "blue", 2)
    assert relative(engine.extend(state, "blue", 2).latents, expected.latents) < 1e-5


def test_weights_and_noise_without_a_name_are_like_no_others(engine):
    one, two = (engine.copy(noise=lambda seed, index, shape, k=k: torch.full(shape, 0.1 * k)) for k in (1, 2))
    assert one.model_key != two.model_key and one.model_key == one.copy().model_key
    nameless = tiny_engine(True).copy(fingerprint="")
    assert nameless.model_key != nameless.copy(dit=tiny_engine(False).dit).model_key


def test_a_cancel_before_anything_new_returns_the_state_as_it_was(engine):
    state = engine.extend(engine.begin(**SIZE), "red", 2, end=30)
    with pytest.raises(Cancelled) as caught:
        engine.extend(state, "blue", handoff="continuous", cancelled=lambda: True)
    assert caught.value.state is state


def test_draining_keeps_where_the_video_ends(engine):
    state = engine.extend(engine.begin(**SIZE), "red", 4, end=90, drain=False)
    assert engine.drain(state).frames == 90


def test_a_cancel_never_leaves_a_pipeline_from_before_the_finished_chunks(engine):
    begun = engine.begin(**SIZE)
    flying = engine.extend(begun, ["red"] * 3, drain=False)
    engine.extend(flying, ["blue", "green"])
    engine.cache.frontiers.clear()
    engine.cache.chunks.pop(engine.plan(flying, ["blue", "green"]).chunks[-1].key)
    for stop in range(6):
        left = iter(range(stop))
        with pytest.raises(Cancelled) as caught:
            engine.extend(flying, ["blue", "green"], cancelled=lambda left=left: next(left, None) is None)
        engine.plan(caught.value.state, "tree", handoff="continuous")
