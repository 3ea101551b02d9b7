"""A closed recording is an ordinary video."""

from __future__ import annotations

import errno
import os
from fractions import Fraction

import av
import pytest

from magi_core.video import exact_fps, read_video, write_video
from magi_core.video.recording import VideoRecording
from tests.pictures import numbered, numbers

SIZE = {"width": 64, "height": 64}


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
        monkeypatch.setattr("magi_core.writing.replacing.os.replace", no_room)
    assert "stays a fragmented mp4" in recording.note and "the disk is full" in recording.note
    assert numbers(read_video(path).frames) == list(range(10)) and os.listdir(tmp_path) == ["a.mp4"]
