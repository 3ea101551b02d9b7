"""The same extends give the same bits, whatever was remembered: pages are never made together with other chunks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magi_core.cache.engine_cache import EngineCache
from magi_core.config import DRAFTS
from magi_core.dit.embed import in_eights
from tests.property.bounded import bounded
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 16}
STORIES = st.lists(st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, max_size=4), min_size=2, max_size=4)
FORGOTTEN = st.lists(st.sets(st.sampled_from(["pages", "chunks", "frontiers"])), min_size=4, max_size=4)


@pytest.mark.parametrize("clean_kv_range", [1, 3])
@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
def test_clean_handoffs_give_the_same_bits_whatever_was_forgotten(distill, clean_kv_range):
    @bounded(10)
    @given(STORIES, FORGOTTEN)
    def check(stories, forgotten):
        engine = tiny_engine(distill, clean_kv_range=clean_kv_range)
        remembering, forgetting = (engine.copy(cache=EngineCache()) for _ in range(2))
        one, two = remembering.begin(**SIZE), forgetting.begin(**SIZE)
        for story, names in zip(stories, forgotten, strict=False):
            one = remembering.extend(one, story, len(story))
            for name in names:
                getattr(forgetting.cache, name).clear()
            two = forgetting.extend(two, story, len(story))
            assert torch.equal(one.latents, two.latents)

    check()


@pytest.mark.parametrize("draft", ["off", *DRAFTS])
@pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])
def test_a_chunk_has_the_same_bits_however_many_are_in_flight_with_it(distill, draft):
    story = ["red", "blue", "green", "red", "blue"]
    longest: dict[int, torch.Tensor] = {}
    for length in range(len(story), 0, -1):
        engine = tiny_engine(distill, steps=16, draft=draft) if draft != "off" else tiny_engine(distill)
        for chunk in engine.extend(engine.begin(**SIZE), story[:length]).chunks:
            assert torch.equal(chunk.latent, longest.setdefault(chunk.index, chunk.latent)), (length, chunk.index)


@pytest.mark.parametrize("count", range(1, 17))
def test_what_is_said_of_a_chunk_does_not_depend_on_how_many_there_are(count):
    torch.manual_seed(0)
    layer, rows = torch.nn.Linear(256, 96), torch.randn(1, 16, 256)
    assert torch.equal(in_eights(layer, rows[:, :count]), in_eights(layer, rows)[:, :count])
