"""Video files written: at the exact rate, in the right colours, whole or not at all."""

from __future__ import annotations

import json
import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from magi_core.errors import MagiError
from magi_core.video import VideoWriter, exact_fps, read_video, write_video
from tests.pictures import COLOURS, flat, numbered, numbers


@pytest.mark.parametrize("fps", [24, 23.976, "24000/1001", Fraction(25, 2), 29.97, 60, 7])
@pytest.mark.parametrize("count", [1, 2, 25])
def test_rate_length_and_duration_are_exact(tmp_path, fps, count):
    path = tmp_path / "a.mp4"
    assert write_video(path, [numbered(count)], fps) == count
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.frames == count
        assert stream.duration * stream.time_base == count / exact_fps(fps)
        assert stream.average_rate == exact_fps(fps)
        times = [frame.pts * frame.time_base for frame in container.decode(stream)]
    assert times == [k / exact_fps(fps) for k in range(count)]


def test_primary_colours_survive_the_round_trip_and_are_tagged(tmp_path):
    path = tmp_path / "a.mp4"
    frames = flat(COLOURS)
    write_video(path, [frames], 24)
    assert (read_video(path).frames.int() - frames.int()).abs().max() <= 2
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    luma, blue, red = (np.array(plane)[0] for plane in frame.planes)
    assert (luma, blue, red) == (63, 102, 240)  # red in bt709, limited range


def test_black_and_white_use_the_limited_range(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [flat([(0, 0, 0), (255, 255, 255)])], 24)
    with av.open(str(path)) as container:
        assert [np.array(frame.planes[0])[0] for frame in container.decode(video=0)] == [16, 235]


def test_file_is_h264_in_yuv420p_that_can_start_before_it_is_loaded(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [numbered(3)], 24)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_quick_file_has_the_same_frames_for_less_work(tmp_path):
    frames = torch.nn.functional.interpolate(torch.rand(24, 3, 20, 20), (320, 320), mode="bilinear").mul(255).byte()
    frames, took = frames.movedim(1, -1).contiguous(), {}
    for quick in (False, True):
        began = time.process_time()
        write_video(tmp_path / f"{quick}.mp4", [frames], 24, quick=quick)
        took[quick] = time.process_time() - began
    assert took[True] < 0.6 * took[False], took  # of the processor: about a quarter
    sizes = [(tmp_path / f"{quick}.mp4").stat().st_size for quick in (False, True)]
    assert sizes[1] < 1.2 * sizes[0]
    off = [(read_video(tmp_path / f"{quick}.mp4").frames.float() - frames).square().mean() for quick in (False, True)]
    assert off[1] < 2 * off[0] and off[1] < 30, "above 33 dB"


def test_blocks_of_any_length_make_one_video(tmp_path):
    path = tmp_path / "a.mp4"
    frames = numbered(10)
    with VideoWriter(path, 24) as writer:
        for block in (frames[:1], frames[1:1], frames[1:7], frames[7:]):
            writer.write(block)
    assert writer.frames == 10
    assert numbers(read_video(path).frames) == list(range(10))


def test_metadata_is_kept(tmp_path):
    path = tmp_path / "a.mp4"
    comment = {"seed": 7, "prompts": ["a réd ball " * 500]}
    write_video(path, [numbered(1)], 24, metadata={"title": "Täke 1", "comment": comment, "workflow": comment})
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "Täke 1"
        assert json.loads(container.metadata["comment"]) == json.loads(container.metadata["workflow"]) == comment
    with pytest.raises(MagiError, match="metadata 'mood' cannot be kept"):
        VideoWriter(path, 24, metadata={"mood": object()})


def test_a_failed_write_leaves_nothing_behind_and_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [numbered(2)], 24)
    before = path.read_bytes()

    def blocks():
        yield numbered(30)
        raise RuntimeError("the model broke")

    with pytest.raises(RuntimeError, match="the model broke"):
        write_video(path, blocks(), 24)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.mp4"
    with pytest.raises(MagiError, match="cannot write"), VideoWriter(path, 24) as writer:
        writer.write(numbered(3))
        path.mkdir()  # takes the name in the meantime
    assert os.listdir(tmp_path) == ["a.mp4"] and path.is_dir()


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 24) as writer:
        writer.write(numbered(30))
        assert not path.exists()
    assert path.exists() and os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (flat([(0, 0, 0)], 63, 64), "even sides: 64x63 -> use 64x62"),
        (torch.zeros(1, 64, 64, 3), "must be uint8"),
        (torch.zeros(1, 64, 64, 4, dtype=torch.uint8), "must be uint8"),
        (torch.zeros(0, 64, 64, 3, dtype=torch.uint8), "no frames to write"),
    ],
)
def test_frames_that_cannot_be_written_are_refused(tmp_path, frames, message):
    with pytest.raises(MagiError, match=message):
        write_video(tmp_path / "a.mp4", [frames], 24)
    assert os.listdir(tmp_path) == []


def test_a_size_that_changes_is_refused(tmp_path):
    with pytest.raises(MagiError, match="one size: 32x64 after 64x64"):
        write_video(tmp_path / "a.mp4", [numbered(1), numbered(1, 64, 32)], 24)
    assert os.listdir(tmp_path) == []


def test_names_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(MagiError, match=r"written as mp4: a\.avi -> use a\.mp4"):
        VideoWriter(tmp_path / "a.avi", 24)
    with pytest.raises(MagiError, match="there is no folder"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4", 24)
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(MagiError, match="is a folder"):
        VideoWriter(tmp_path / "b.mp4", 24)


def test_memory_does_not_grow_with_length(tmp_path):
    """Encoder buffers fill in the first blocks; from then on the resident size stays where it is."""
    block = flat([(9, 9, 9)] * 24, 256, 256)  # 4.7 MB as RGB
    with VideoWriter(tmp_path / "a.mp4", 24) as writer:
        sizes = []
        for _ in range(20):
            writer.write(block)
            sizes.append(_resident())
    assert sizes[-1] - sizes[6] < 2 * block.numel()


def _resident() -> int:
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("reads /proc, which only Linux has")
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
