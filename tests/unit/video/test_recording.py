"""Recordings: what is finished can be played whatever happens next, and a closed one is an ordinary video."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import weakref
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state.decode import record
from magi_core.state.state import Cancelled
from magi_core.video import exact_fps, read_video, write_video
from magi_core.video.recording import VideoRecording
from tests.pictures import numbered, numbers
from tests.tiny import tiny_engine

SIZE = {"width": 64, "height": 64}


def boxes(path) -> list[str]:
    content, start, kinds = path.read_bytes(), 0, []
    while start < len(content):
        kinds.append(content[start + 4 : start + 8].decode())
        start += int.from_bytes(content[start : start + 4], "big")
    return kinds


# --- the file while it grows -------------------------------------------------------------------------------


def test_every_flushed_frame_can_be_played_while_the_recording_goes_on(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoRecording(path, **SIZE, fps=24, metadata={"workflow": {"nodes": [1]}}) as recording:
        for chunk in range(3):
            recording.write(numbered(20 * chunk + 12, first=20 * chunk))
            recording.write(numbered(20 * chunk + 20, first=20 * chunk + 12))
            recording.flush()
            assert recording.frames == 20 * (chunk + 1)
            assert numbers(read_video(path).frames) == list(range(recording.frames))
            assert boxes(path) == ["ftyp", "moov"] + ["moof", "mdat"] * (chunk + 1)
            with av.open(str(path)) as container:
                assert json.loads(container.metadata["workflow"]) == {"nodes": [1]}
    assert boxes(path) == ["ftyp", "moov", "free", "mdat"] and numbers(read_video(path).frames) == list(range(60))


KILLED = """
import os, signal, sys
from magi_core.state.decode import record
from magi_core.video.recording import VideoRecording
from tests.tiny import tiny_engine
engine = tiny_engine()
begun = engine.begin(width=32, height=32)
recording = VideoRecording(sys.argv[1], width=32, height=32, fps=24, metadata={"storyboard": "0: red"})
for state in record(engine, engine.stream(begun, "red", 6), recording):
    print(len(state.chunks), flush=True)
    if len(state.chunks) == 3:
        recording.write(next(engine.decode(state, start=0)))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_every_finished_chunk(tmp_path):
    path = tmp_path / "a.mp4"
    ended = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL and ended.stdout.split() == ["1", "2", "3"], ended.stderr
    assert os.listdir(tmp_path) == ["a.mp4"]
    with av.open(str(path)) as container:
        assert container.metadata["storyboard"] == "0: red"
        stream = container.streams.video[0]
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
    assert times == [Fraction(k, 24) for k in range(72)]


def test_a_body_that_raises_leaves_the_flushed_part_as_an_ordinary_video(tmp_path):
    path = tmp_path / "a.mp4"
    with pytest.raises(KeyboardInterrupt), VideoRecording(path, **SIZE, fps=24) as recording:
        recording.write(numbered(24))
        recording.flush()
        recording.write(numbered(30, first=24))
        raise KeyboardInterrupt
    assert recording.frames == 24 and numbers(read_video(path).frames) == list(range(24))
    assert os.listdir(tmp_path) == ["a.mp4"] and "moof" not in boxes(path)


def test_nothing_flushed_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoRecording(tmp_path / "a.mp4", **SIZE, fps=24) as recording:
        recording.write(numbered(6))
        raise RuntimeError
    with VideoRecording(tmp_path / "b.mp4", **SIZE, fps=24):
        pass
    assert os.listdir(tmp_path) == []


# --- the closed file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [24, 23.976, "24000/1001", Fraction(25, 2), 29.97, 60, 7])
@pytest.mark.parametrize("counts", [(1,), (24, 24, 7)])
def test_rate_length_and_times_are_exact(tmp_path, fps, counts):
    path, total = tmp_path / "a.mp4", 0
    with VideoRecording(path, **SIZE, fps=fps) as recording:
        for count in counts:
            recording.write(numbered(total + count, first=total))
            recording.flush()
            total += count
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == total
        assert stream.duration * stream.time_base == total / exact_fps(fps)
        assert stream.average_rate == exact_fps(fps)
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
    assert times == [k / exact_fps(fps) for k in range(total)]


def test_it_looks_like_a_video_written_whole_and_starts_before_it_is_loaded(tmp_path):
    whole, recorded = tmp_path / "whole.mp4", tmp_path / "recorded.mp4"
    frames, metadata = numbered(30), {"prompt": {"1": {}}, "title": "Täke"}
    write_video(whole, [frames], 24, metadata=metadata)
    with VideoRecording(recorded, **SIZE, fps=24, metadata=metadata) as recording:
        recording.write(frames)
    said = []
    for path in (whole, recorded):
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            colours = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
            tags = {name: container.metadata[name] for name in metadata}
            said.append((context.name, context.pix_fmt, colours, tags))
    assert said[0] == said[1] and said[0][2] == (1, 1, 1, 1)
    assert numbers(read_video(recorded).frames) == list(range(30))
    content = recorded.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and content.count(b"colr") == 1


def test_a_file_that_cannot_be_indexed_stays_as_it_is_and_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with VideoRecording(path, **SIZE, fps=24) as recording:
        recording.write(numbered(10))
        recording.flush()
        monkeypatch.setattr("magi_core.video.recording.os.replace", no_room)
    assert "stays a fragmented mp4" in recording.note and "No space left" in recording.note
    assert numbers(read_video(path).frames) == list(range(10)) and os.listdir(tmp_path) == ["a.mp4"]


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("a.mp4", {"width": 63}, "even sides: 63x64 -> use 62x64"),
        ("a.mp4", {"height": 0}, "even sides: 64x0 -> use 64x2"),
        ("a.mp4", {"fps": "soon"}, "frames per second must be a number"),
        ("a.mp4", {"metadata": {"prompt": {1}}}, "metadata 'prompt' cannot be kept"),
        ("a.avi", {}, "written as mp4: a.avi -> use a.mp4"),
        ("nowhere/a.mp4", {}, "there is no folder"),
        ("old.mp4", {}, "there is a file .*old.mp4 already: choose another name"),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(tmp_path, name, changes, message):
    (tmp_path / "old.mp4").write_bytes(b"precious")
    with pytest.raises(MagiError, match=message):
        VideoRecording(tmp_path / name, **{**SIZE, "fps": 24, **changes})
    assert os.listdir(tmp_path) == ["old.mp4"] and (tmp_path / "old.mp4").read_bytes() == b"precious"


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("magi_core.video.output_path.os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(MagiError, match="is read-only: choose another place for a.mp4"):
        VideoRecording(tmp_path / "a.mp4", **SIZE, fps=24)


def test_a_file_that_may_be_replaced_stays_until_the_first_chunk(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with VideoRecording(path, **SIZE, fps=24, replace=True) as recording:
        recording.write(numbered(5))
        assert path.read_bytes() == b"precious"
    assert numbers(read_video(path).frames) == list(range(5))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (torch.zeros(1, 32, 64, 3, dtype=torch.uint8), "is 64x64, and a frame is 64x32"),
        (torch.zeros(1, 64, 64, 3), "must be uint8"),
    ],
)
def test_frames_that_do_not_fit_are_refused(tmp_path, block, message):
    with VideoRecording(tmp_path / "a.mp4", **SIZE, fps=24) as recording:
        with pytest.raises(MagiError, match=message):
            recording.write(block)
        recording.write(numbered(3))
    assert numbers(read_video(tmp_path / "a.mp4").frames) == [0, 1, 2]


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"

    def no_room(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = pytest.raises(MagiError, match="No space left.*the 24 frames before are in it")
    with expected, VideoRecording(path, **SIZE, fps=24) as recording:
        recording.write(numbered(24))
        recording.flush()
        size = path.stat().st_size
        monkeypatch.setattr("magi_core.video.recording.os.fsync", no_room)
        recording.write(numbered(48, first=24))
        try:
            recording.flush()
        finally:
            assert path.stat().st_size == size
    assert numbers(read_video(path).frames) == list(range(24))


# --- chunks of an engine -----------------------------------------------------------------------------------


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
def test_what_is_recorded_is_what_is_decoded(tmp_path, prefix, drain):
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, prefix=torch.randn(1, 16, prefix, 4, 4) if prefix else None)
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as recording:
        written = frames_given_to(recording)
        for state in record(engine, engine.stream(begun, "red", 5, drain=drain), recording):
            assert recording.frames == state.frames
    assert bool(state.pending) != drain and recording.frames == state.frames
    assert torch.equal(torch.cat(written), torch.cat(list(engine.decode(state))))


def test_start_and_end_are_trimmed_to_the_frame(tmp_path):
    engine, seen = tiny_engine(), []
    begun = engine.begin(width=32, height=32)
    with VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as recording:
        written = frames_given_to(recording)
        states = engine.stream(begun, "red", 3)
        *_, state = record(engine, states, recording, keep=range(2, 55), on_frames=seen.append)
    whole = torch.cat(list(engine.decode(state)))
    assert recording.frames == 53 and len(read_video(tmp_path / "a.mp4").frames) == 53
    assert torch.equal(torch.cat(written), whole[2:55]) and torch.equal(torch.cat(seen), whole[:55])


def test_cancelling_keeps_the_finished_chunks(tmp_path):
    engine, steps = tiny_engine(), []
    begun = engine.begin(width=32, height=32)
    with pytest.raises(Cancelled) as stopped, VideoRecording(tmp_path / "a.mp4", width=32, height=32, fps=24) as made:
        how = {"on_step": lambda e: steps.append(e.in_flight[0].index), "cancelled": lambda: 2 in steps}
        states = engine.stream(begun, "red", 4, **how)
        list(record(engine, states, made))
    assert made.frames == stopped.value.state.frames > 0
    assert len(read_video(tmp_path / "a.mp4").frames) == made.frames


def test_at_most_two_chunks_of_frames_are_alive(tmp_path):
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
        for state in record(watching, engine.stream(engine.begin(width=32, height=32), "red", 6), recording):
            assert len(state.chunks) * 24 == recording.frames
    assert 12 <= peak <= 48
