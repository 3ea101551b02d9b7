"""Video files read: what goes in comes out, at the rate asked for, in the right colours, the right way up."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video import read_video, write_video
from tests.pictures import COLOURS, corners, flat, numbered, numbers, seen_corners


def write_with(
    path: Path,
    codec: str,
    times: list[Fraction],
    frames: torch.Tensor,
    *,
    time_base: Fraction = Fraction(1, 24),
    sound: bool = False,
) -> None:
    """A file with a frame at each of `times` (seconds), through PyAV alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1 / time_base)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.time_base = time_base
        stream.codec_context.bit_rate = 10_000_000
        if sound:
            add_sound(container)
        for time, pixels in zip(times, frames.numpy(), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.time_base, frame.pts = time_base, round(time / time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def add_sound(container) -> None:
    """Two seconds of silence."""
    sound = container.add_stream("aac", rate=44100)
    silence = av.AudioFrame.from_ndarray(np.zeros((2, 88200), np.float32), format="fltp", layout="stereo")
    silence.sample_rate = 44100
    container.mux(sound.encode(silence))
    container.mux(sound.encode(None))


CONTAINERS = [
    ("a.mp4", "libx264"),
    ("a.mkv", "libx264"),
    ("a.mov", "libx264"),
    ("a.webm", "libvpx-vp9"),
    ("a.avi", "mpeg4"),
    ("a.mkv", "ffv1"),
]


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_containers(tmp_path, name, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec} encoder to make the file with")
    path = tmp_path / name
    frames = numbered(12)
    write_with(path, codec, [Fraction(k, 24) for k in range(12)], frames)
    video = read_video(path)
    assert video.fps == 24 and video.frames.dtype == torch.uint8
    assert numbers(video.frames) == list(range(12))


def test_pictures_in_an_unknown_format_are_refused_in_words(tmp_path):
    path = tmp_path / "a.mp4"
    write_with(path, "libx264", [Fraction(k, 24) for k in range(4)], numbered(4))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xxxx").replace(b"avcC", b"yyyy"))
    with pytest.raises(MagiError, match="in a format that is not read"):
        read_video(path)


def test_gif_times_are_followed(tmp_path):
    path = tmp_path / "a.gif"
    pictures = [Image.new("RGB", (64, 64), (40 * n,) * 3) for n in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[500, 250, 250], loop=0)
    shown = (read_video(path).frames.float().mean(dim=(1, 2, 3)) / 40).round().int().tolist()
    assert shown == [0] * 12 + [1] * 6 + [2] * 6


def test_sound_and_the_files_own_rate_do_not_matter(tmp_path):
    path = tmp_path / "a.mkv"
    write_with(path, "libx264", [Fraction(k, 24) for k in range(6)], numbered(6), sound=True)
    assert numbers(read_video(path).frames) == list(range(6))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (48, 24, [0, 2, 4, 6, 8, 10]),
        (12, 24, [n // 2 for n in range(24)]),
        (24, 24, list(range(12))),
        (30, 24, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]),
        (24, 8, [1, 4, 7, 10]),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # exact times, and times rounded to milliseconds
def test_other_rates_are_resampled(tmp_path, name, source, target, expected):
    path = tmp_path / name
    times = [Fraction(k, source) for k in range(12)]
    write_with(path, "libx264", times, numbered(12), time_base=Fraction(1, source))
    video = read_video(path, fps=target)
    assert numbers(video.frames) == expected
    assert bool(video.notes) == (source != target)


def test_variable_rates_show_what_is_on_display(tmp_path):
    """A picture stays until the next one comes: 0.5 s, then 0.1 s, then 0.4 s and one frame."""
    path = tmp_path / "a.mkv"
    times = [Fraction(0), Fraction(1, 2), Fraction(3, 5), Fraction(1)]
    write_with(path, "libx264", times, numbered(4), time_base=Fraction(1, 1000))
    shown = numbers(read_video(path, fps=10).frames)
    assert shown[:10] == [0] * 5 + [1] + [2] * 4
    assert set(shown[10:]) <= {3}


def test_reading_stops_at_max_frames(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [numbered(20)], 24)
    assert numbers(read_video(path, max_frames=5).frames) == [0, 1, 2, 3, 4]


def test_frames_can_be_fitted_while_reading(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [numbered(5, 64, 128)], 24)
    video = read_video(path, size=(32, 32))
    assert video.frames.shape == (5, 32, 32, 3)
    assert video.notes == ("cropped 128x64 to 64x64 (1:1), then resized to 32x32",)
    assert numbers(video.frames) == list(range(5))


ORIENTATIONS = {
    "upright": ((1, 0, 0, 1), ["red", "green", "blue", "white"]),
    "half turn": ((-1, 0, 0, -1), ["white", "blue", "green", "red"]),
    "quarter turn clockwise": ((0, 1, -1, 0), ["blue", "red", "white", "green"]),
    "quarter turn anticlockwise": ((0, -1, 1, 0), ["green", "white", "red", "blue"]),
    "mirrored": ((-1, 0, 0, 1), ["green", "red", "white", "blue"]),
    "upside down": ((1, 0, 0, -1), ["blue", "white", "red", "green"]),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_display_rotation_is_honoured(tmp_path, name):
    matrix, expected = ORIENTATIONS[name]
    path = tmp_path / "a.mp4"
    write_video(path, [corners()], 24)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # the track's matrix, after a version 0 header
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frame = read_video(path).frames[0]
    turned = matrix[0] == 0
    assert frame.shape == ((96, 64, 3) if turned else (64, 96, 3))
    assert seen_corners(frame) == expected


def test_wide_pixels_become_square(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(corners()[0].numpy(), format="rgb24")))
        container.mux(stream.encode(None))
    frame = read_video(path).frames[0]
    assert frame.shape == (64, 128, 3)
    assert seen_corners(frame) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(("space", "code"), [("ITU601", 5), ("ITU709", 1)])
@pytest.mark.parametrize(("range_", "code_range"), [("MPEG", 1), ("JPEG", 2)])
def test_colour_tags_of_other_files_are_followed(tmp_path, space, code, range_, code_range):
    path = tmp_path / "a.mkv"
    frames = flat(COLOURS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = code, code_range
        for pixels in frames.numpy():
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace[space],
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange[range_],
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert (read_video(path).frames.int() - frames.int()).abs().max() <= 4


@pytest.mark.parametrize(("height", "space"), [(64, "ITU601"), (720, "ITU709")])
def test_untagged_colours_are_taken_as_players_take_them(tmp_path, height, space):
    """Small videos as bt601, from 720 lines on as bt709."""
    path = tmp_path / "a.mkv"
    frames = flat(COLOURS[:3], height=height)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, height, "yuv420p"
        for pixels in frames.numpy():
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace[space],
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.colorspace = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert (read_video(path).frames.int() - frames.int()).abs().max() <= 4


def test_files_that_are_no_videos_are_refused(tmp_path):
    with pytest.raises(MagiError, match="there is no video at"):
        read_video(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(MagiError, match="cannot be read as a video"):
        read_video(tmp_path / "text.mp4")
    path = tmp_path / "short.mp4"
    write_video(path, [numbered(5)], 24)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(MagiError, match="damaged"):
        read_video(path)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        add_sound(container)
    with pytest.raises(MagiError, match="has no picture track"):
        read_video(tmp_path / "sound.mp4")
