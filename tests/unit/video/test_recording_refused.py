"""What cannot be recorded is refused, and costs nothing that was there."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.video import read_video
from magi_core.video.recording import VideoRecording
from tests.pictures import numbered, numbers

SIZE = {"width": 64, "height": 64}


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

    expected = pytest.raises(MagiError, match="the disk is full.*the 24 frames before are in it")
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
