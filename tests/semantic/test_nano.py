"""The bundled model does what its prompts say, as the engine runs it, read by the analyser."""

from __future__ import annotations

import pytest
import torch

import magi_core
from magi_core.loading import BUNDLED
from tools.nano.analyser import action_of, measure
from tools.nano.vocabulary import CHUNK_FRAMES

PROMPTS = ["a big red star moves right by day", "it turns blue"]


@pytest.fixture(scope="module")
def tracks():
    assert "nano" in BUNDLED, "the bundled model is missing: magi_core/assets/nano"
    engine = magi_core.load("nano", device="cpu")
    state = engine.extend(engine.begin(width=128, height=128, seed=5), PROMPTS, len(PROMPTS))
    frames = torch.cat(list(engine.decode(state)))
    assert frames.shape == (len(PROMPTS) * CHUNK_FRAMES, 128, 128, 3)
    return [measure(chunk) for chunk in frames.split(CHUNK_FRAMES)]


def test_the_first_chunk_shows_what_its_prompt_names(tracks):
    first = tracks[0]
    assert (first.colour, first.shape, first.size, first.background_name) == ("red", "star", "big", "day")
    assert action_of(first) == "right"


def test_the_change_happens_and_what_it_does_not_name_stays(tracks):
    second = tracks[1]
    assert second.colour == "blue"
    assert (second.size, second.background_name) == ("big", "day")
    assert action_of(second) == "right"


def test_the_object_does_not_jump_between_chunks(tracks):
    before, after = tracks[0].centre[-1], tracks[1].centre[0]
    assert float((after - before).norm()) < 4.0  # it travels about one pixel a frame
