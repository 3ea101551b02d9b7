"""Interrupts at every step, and Ctrl-C twice at any moment: finished chunks are kept, and nothing else is left."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
import torch

from magi_core import load_state
from magi_core.state import Autosave, Cancelled
from magi_core.video import read_video
from tools.faults.render import SAVED, SHOWN, STEPS, TAKE, VIDEO, Render, render_words, resume_words
from tools.small_models import tiny_engine

PROMPTS = ["red", "blue", "green"]


def counted(engine, begun):
    """How often a run asks whether to stop."""
    asked = []
    engine.extend(begun, PROMPTS, cancelled=lambda: asked.append(None))
    return len(asked)


def test_an_interrupt_at_every_step_keeps_what_is_finished_and_goes_on_as_if_there_had_been_none(tmp_path):
    engine = tiny_engine(steps=STEPS)
    begun = engine.begin(width=32, height=32, seed=5)
    whole, times = engine.extend(begun, PROMPTS), counted(tiny_engine(steps=STEPS), begun)
    assert times > len(PROMPTS) * STEPS // 2
    for at in range(times):
        fresh, path, left = tiny_engine(steps=STEPS), tmp_path / f"{at}.magi", iter(range(at))
        with pytest.raises(Cancelled) as stopped, Autosave(path) as saved:
            for state in fresh.stream(begun, PROMPTS, cancelled=lambda left=left: next(left, None) is None):
                saved.write(state)
        state = stopped.value.state
        assert torch.equal(state.latents, whole.at(state.finished).latents)
        assert torch.equal(fresh.extend(begun, PROMPTS).latents, whole.latents), "from what the engine remembers"
        if path.exists():
            assert load_state(path).finished == state.finished
        assert set(os.listdir(tmp_path)) <= {path.name}, "no parts, no locks"
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_twice_at_any_moment_ends_in_words_and_keeps_finished_chunks(tmp_path, seed):
    chance = random.Random(seed)
    render = Render(tmp_path, render_words(8))
    render.follow(lambda events: events.count(SAVED) >= chance.randint(1, 7))
    time.sleep(chance.random() * 0.1)
    render.interrupt()
    time.sleep(chance.random() * 0.05)
    render.interrupt()
    code = render.end()
    assert "Traceback" not in render.said and code in (0, 130), render.said
    assert load_state(tmp_path / TAKE).finished >= render.events.count(SAVED) > 0
    shown = min(render.events.count(SHOWN), 8)
    frames = len(read_video(tmp_path / VIDEO).frames) if (tmp_path / VIDEO).exists() else 0
    assert frames >= 24 * shown and frames % 24 == 0
    assert set(os.listdir(tmp_path)) <= {TAKE, f"{TAKE}.parts", VIDEO}
    if load_state(tmp_path / TAKE).finished < 8:
        again = Render(tmp_path, resume_words())
        assert again.end() == 0, again.said
    assert load_state(tmp_path / TAKE).finished == 8


def test_runs_leave_no_threads_and_no_open_files(tmp_path):
    engine = tiny_engine(steps=STEPS)
    begun = engine.begin(width=32, height=32)

    def once(name):
        with Autosave(tmp_path / name) as saved:
            for state in engine.stream(begun, PROMPTS):
                saved.write(state)

    once("warm.magi")
    before = threading.active_count(), len(os.listdir("/dev/fd"))
    for number in range(5):
        once(f"{number}.magi")
    assert (threading.active_count(), len(os.listdir("/dev/fd"))) == before
