"""Chunks decoded and recorded one by one are the whole decoded at once."""

from __future__ import annotations

import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import load_state
from magi_core.state.decode import record
from magi_core.state.save import read_part, write_part
from magi_core.state.state import Cancelled
from magi_core.video import read_video
from magi_core.video.recording import VideoRecording
from tools.small_models import tiny_engine

CPU = torch.device("cpu")


@pytest.mark.parametrize("prefix", [0, 1, 6, 8])
def test_chunks_decoded_one_by_one_are_the_whole_decoded_at_once(prefix):
    engine = tiny_engine()
    given = torch.randn(1, 16, prefix, 6, 10) if prefix else None
    state = engine.extend(engine.begin(width=80, height=48, prefix=given), ["red", "blue"], 2)
    whole = torch.cat(list(engine.decode(state)))
    parts = [torch.cat(list(engine.decode(state, start=k, stop=k + 1))) for k in range(state.finished)]
    assert torch.equal(torch.cat(parts), whole) and len(whole) == state.frames


def frames_given_to(recording) -> list[torch.Tensor]:
    """What is written to `recording` from now on, before encoding."""
    written, write = [], recording.write
    recording.write = lambda block: (written.append(block.clone()), write(block))[1]
    return written


@pytest.mark.parametrize("prefix", [0, 8])
@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("behind", [None, CPU], ids=["in order", "behind"])
def test_what_is_recorded_is_what_is_decoded(tmp_path, prefix, drain, behind):
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, prefix=torch.randn(1, 16, prefix, 4, 4) if prefix else None)
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as recording:
        written = frames_given_to(recording)
        for state in record(engine, engine.stream(begun, "red", 5, drain=drain), recording, behind=behind):
            assert recording.frames == state.frames
    assert bool(state.pending) != drain and recording.frames == state.frames
    assert torch.equal(torch.cat(written), torch.cat(list(engine.decode(state))))


def test_what_fills_a_given_video_up_and_what_is_behind_the_end_is_not_shown(tmp_path):
    engine, seen = tiny_engine(), []
    prefix = torch.randn(1, 16, 8, 4, 4)
    begun = engine.begin(width=32, height=32, prefix=prefix, filled=2)
    assert begun.frames == begun.prefix_frames == 30
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as recording:
        written = frames_given_to(recording)
        states = engine.stream(begun, "red", 2, end=53)
        *_, state = record(engine, states, recording, stop=53, on_frames=seen.append)
    whole = torch.cat(list(engine.decode(replace(state, filled=0, end=None))))
    shown = torch.cat(list(engine.decode(state)))
    assert recording.frames == state.frames == len(read_video(tmp_path / "a.mp4").frames) == 53
    assert torch.equal(shown, whole[2:55]) and torch.equal(torch.cat(list(engine.decode(state, start=1))), whole[24:55])
    assert torch.equal(torch.cat(written), shown) and torch.equal(torch.cat(seen), shown)


def test_a_saved_take_knows_what_fills_it_up_and_one_of_before_shows_it(tmp_path):
    engine, path = tiny_engine(), tmp_path / "a.magi"
    state = engine.extend(engine.begin(width=32, height=32, prefix=torch.randn(1, 16, 8, 4, 4), filled=3), "red")
    state.save(path)
    assert load_state(path).filled == 3 and load_state(path).frames == state.frames == 45
    words, tensors = read_part(path)
    write_part(path, {name: value for name, value in words.items() if name != "filled"}, tensors)
    assert load_state(path).frames == 48
    write_part(path, words | {"filled": 4}, tensors)
    with pytest.raises(MagiError, match="filled"):
        load_state(path)


@pytest.mark.parametrize("behind", [None, CPU], ids=["in order", "behind"])
def test_cancelling_keeps_the_finished_chunks(tmp_path, behind):
    engine, steps = tiny_engine(), []
    begun = engine.begin(width=32, height=32)
    with pytest.raises(Cancelled) as stopped, VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as made:
        how = {"on_step": lambda e: steps.append(e.in_flight[0].index), "cancelled": lambda: 2 in steps}
        states = engine.stream(begun, "red", 4, **how)
        list(record(engine, states, made, behind=behind))
    assert made.frames == stopped.value.state.frames > 0
    assert len(read_video(tmp_path / "a.mp4").frames) == made.frames


@pytest.mark.parametrize("behind", [None, CPU], ids=["in order", "behind"])
def test_at_most_two_chunks_of_frames_are_alive(tmp_path, behind):
    engine = tiny_engine()
    alive: weakref.WeakSet = weakref.WeakSet()
    peak, decode = 0, engine.decode

    def watched(*arguments, **options):
        nonlocal peak
        for block in decode(*arguments, **options):
            alive.add(block)
            peak = max(peak, sum(len(frames) for frames in alive))
            yield block

    watching = SimpleNamespace(decode=watched)
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as recording:
        states = engine.stream(engine.begin(width=32, height=32), "red", 6)
        for state in record(watching, states, recording, behind=behind):
            assert len(state.chunks) * 24 == recording.frames
    assert 12 <= peak <= 48


def test_a_decoder_that_fails_behind_is_told_with_the_chunks_before_it_in_the_file(tmp_path):
    engine = tiny_engine()

    def decode(state, *, start=0, stop=None):
        if start == 2:
            raise MagiError("no memory for the VAE")
        return engine.decode(state, start=start, stop=stop)

    states, got = engine.stream(engine.begin(width=32, height=32), "red", 5), []
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as made, pytest.raises(MagiError, match="VAE"):
        got.extend(record(SimpleNamespace(decode=decode), states, made, behind=CPU))
    assert len(read_video(tmp_path / "a.mp4").frames) == made.frames == 48
