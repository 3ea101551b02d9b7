"""What was flushed to a recording can be played whatever happens next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import pytest

from magi_core.video import read_video
from magi_core.video.recording import VideoRecording
from magi_core.writing.claim import Claim
from tests.pictures import numbered, numbers

SIZE = {"width": 64, "height": 64}


def boxes(path) -> list[str]:
    content, start, kinds = path.read_bytes(), 0, []
    while start < len(content):
        kinds.append(content[start + 4 : start + 8].decode())
        start += int.from_bytes(content[start : start + 4], "big")
    return kinds


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
from tools.small_models import tiny_engine
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
    Claim(path).release()  # takes away the lock that died with the process
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


@pytest.mark.skipif(os.name == "nt", reason="a colon names a stream of a file there")
def test_a_name_that_looks_like_an_address_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoRecording("http:a.mp4", **SIZE, fps=24) as recording:
        recording.write(numbered(24))
    assert os.listdir() == ["http:a.mp4"] and "moof" not in boxes(tmp_path / "http:a.mp4")


def test_nothing_flushed_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoRecording(tmp_path / "a.mp4", **SIZE, fps=24) as recording:
        recording.write(numbered(6))
        raise RuntimeError
    with VideoRecording(tmp_path / "b.mp4", **SIZE, fps=24):
        pass
    assert os.listdir(tmp_path) == []
