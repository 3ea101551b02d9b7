"""A state carries the sound of what was given, and a saved take keeps it, within bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import magi_core
from magi_core.errors import MagiError
from magi_core.state import Autosave
from magi_core.state.given_sound import sound_from, sound_tensors
from magi_core.video.sound import Sound
from tools.small_models import tiny_engine

TONE = torch.sin(torch.arange(48_000) / 20)[None] / 2


def begun(latents: int, **how):
    given = torch.randn(1, 16, latents, 4, 4, generator=torch.Generator().manual_seed(0))
    return tiny_engine(steps=4).begin(width=32, height=32, prefix=given, **how)


def test_a_sound_ends_where_the_given_part_ends():
    """47 frames given: one was filled up in front, to 48."""
    state = begun(12).with_sound(Sound(TONE[:, : 47 * 1000], 24_000))
    assert state.sound.seconds == 2
    assert state.sound.samples[:, :1000].eq(0).all() and torch.equal(state.sound.samples[:, 1000:], TONE[:, :47_000])


def test_what_starts_from_nothing_has_no_sound():
    state = tiny_engine().begin(width=32, height=32)
    assert state.sound is None
    with pytest.raises(MagiError, match="starts from nothing"):
        state.with_sound(Sound(TONE, 48_000))


@pytest.mark.parametrize("autosaved", [False, True])
def test_a_take_keeps_it(tmp_path, autosaved):
    state = begun(6).with_sound(Sound(TONE, 48_000))
    engine = tiny_engine(steps=4)
    made = engine.extend(state, "red", 2)
    if autosaved:
        saved = Autosave(tmp_path / "take.magi")
        saved.write(made)  # and no close: what a crash leaves
    else:
        made.save(tmp_path / "take.magi")
    loaded = magi_core.load_state(tmp_path / "take.magi")
    assert loaded.sound.rate == 48_000 and (loaded.sound.samples - TONE).abs().max() < 1e-4
    assert loaded.at(1).sound is loaded.sound


def test_a_second_takes_192_kilobytes_at_most():
    assert sum(t.nbytes for t in sound_tensors(Sound(torch.zeros(2, 48_000), 48_000)).values()) == 192_000
    assert sound_tensors(None) == {} and sound_from({}) is None


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("sound.48000", torch.zeros(3, 10, dtype=torch.int16)),
        ("sound.48000", torch.zeros(10, dtype=torch.int16)),
        ("sound.48000", torch.zeros(1, 10)),
        ("sound.12345", torch.zeros(1, 10, dtype=torch.int16)),
    ],
)
def test_what_cannot_be_a_sound_is_refused(name, tensor):
    with pytest.raises(MagiError, match="which is no sound"):
        sound_from({name: tensor})


@pytest.mark.parametrize("autosaved", [False, True])
def test_a_take_that_begins_with_nothing_given_keeps_the_sound_of_its_source(tmp_path, autosaved):
    engine = tiny_engine(steps=4)
    made = engine.extend(replace(engine.begin(width=32, height=32), sound=Sound(TONE, 48_000)), "red", 2)
    if autosaved:
        Autosave(tmp_path / "take.magi").write(made)
    else:
        made.save(tmp_path / "take.magi")
    assert (magi_core.load_state(tmp_path / "take.magi").sound.samples - TONE).abs().max() < 1e-4
