"""A chunk that is not finite ends the run in words; the chunks before it are good and kept."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.sampling.finite import Watch
from magi_core.state import Autosave, load_state
from tools.small_models import WordEncoder, tiny_engine

NAN = float("nan")
SIZE = {"width": 32, "height": 32, "seed": 3}


def breaking_at(engine, index: int, value: float = NAN):
    """The engine with noise for chunk `index` that has one such value."""
    draw = engine.noise

    def noise(seed, chunk, shape):
        drawn = draw(seed, chunk, shape).clone()
        if chunk == index:
            drawn.view(-1)[7] = value
        return drawn

    return engine.copy(noise=noise)


@pytest.mark.parametrize("value", [NAN, float("inf"), 1e30])
def test_the_chunk_the_step_and_a_cause_are_named_and_earlier_chunks_kept(tmp_path, value):
    engine = breaking_at(tiny_engine(), 2, value)
    whole = tiny_engine().extend(tiny_engine().begin(**SIZE), "red", 5)
    with (
        pytest.raises(MagiError, match=r"chunk 2 has values .* from step 1 of 8 on.*float32.*before it are kept"),
        Autosave(tmp_path / "a.magi") as saved,
    ):
        for state in engine.stream(engine.begin(**SIZE), "red", 5):
            saved.write(state)
    kept = load_state(tmp_path / "a.magi")
    assert kept.finished == 2 and torch.equal(kept.latents, whole.at(2).latents)


def test_a_broken_chunk_is_not_remembered():
    engine = breaking_at(tiny_engine(), 1)
    begun = engine.begin(**SIZE)
    for _ in range(2):
        with pytest.raises(MagiError, match="chunk 1 has values that are not numbers"):
            engine.extend(begun, "red", 3)
    fates = engine.plan(begun, "red", 3).chunks
    assert [fate.kind for fate in fates] == ["remembered", "computed", "computed"]


def test_a_weight_that_is_no_number_is_named():
    engine = tiny_engine()
    dit = deepcopy(engine.dit)
    name, weight = list(dit.named_parameters())[-1]
    weight.data.view(-1)[0] = NAN
    with pytest.raises(MagiError, match=rf"chunk 0 has .* A weight of the model is no number \({name}\)"):
        engine.copy(dit=dit, fingerprint="").extend(engine.copy(dit=dit).begin(**SIZE), "red")


def test_a_text_that_is_no_number_is_named():
    class Broken(WordEncoder):
        def encode(self, prompt):
            made = super().encode(prompt)
            return replace(made, tokens=made.tokens * (NAN if prompt == "blue" else 1))

    engine = tiny_engine().copy(text_encoder=Broken())
    with pytest.raises(MagiError, match="chunk 1 has .*The text encoder made them: what it gives for 'blue'"):
        engine.extend(engine.begin(**SIZE), ["red", "blue"])


@pytest.mark.parametrize("value", [NAN, float("inf"), 1e9])
def test_a_prefix_with_such_values_is_refused_at_begin(value):
    prefix = torch.zeros(1, 16, 3, 4, 4)
    prefix[0, 3, 1] = value
    with pytest.raises(MagiError, match="what the video is to start from has values"):
        tiny_engine().begin(**SIZE, prefix=prefix)


@pytest.mark.parametrize("value", [NAN, float("inf"), -1e30])
def test_a_watch_tells_of_some_chunks_whether_their_newest_values_can_be(value):
    watch, good = Watch(), torch.randn(16, 6, 4, 4)
    bad = good.clone()
    bad[3, 2, 1, 0] = value
    for index, latents in enumerate([(good, good), (good, bad), (bad, good)]):
        for step, latent in enumerate(latents, start=1):
            watch.note(index, step, latent)

    def chunk(index, latent=good):
        return SimpleNamespace(index=index, latent=latent)

    assert watch.sound([chunk(0), chunk(2)]) and not watch.sound([chunk(0), chunk(1), chunk(2)])
    assert watch.sound([]) and watch.sound([chunk(7)])
    assert not watch.sound([chunk(0), chunk(7, bad)]), "nothing was noted of it, so it is looked through"
