"""Video and picture files: what goes in comes out, at the exact rate, in the right colours, the right way up."""

from __future__ import annotations

import json
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video import VideoWriter, as_frames, exact_fps, fit, read_image, read_video, write_video

COLOURS = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
    (128, 128, 128),
    (255, 255, 0),
    (0, 255, 255),
]


def flat(colours, height=64, width=96) -> torch.Tensor:
    """One frame of each colour, uint8 [T, H, W, 3]."""
    frames = torch.tensor(colours, dtype=torch.uint8)[:, None, None]
    return frames.expand(-1, height, width, -1).contiguous()


def numbered(count: int, height=64, width=64) -> torch.Tensor:
    """Frames that tell their number by their grey: 4 levels apart."""
    return flat([(4 * n,) * 3 for n in range(count)], height, width)


def numbers(frames: torch.Tensor) -> list[int]:
    return (frames.float().mean(dim=(1, 2, 3)) / 4).round().int().tolist()


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


# --- writing -----------------------------------------------------------------------------------------------


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


def test_broadcast_rates_are_their_exact_fractions():
    assert exact_fps(23.976) == Fraction(24000, 1001)
    assert exact_fps("29.97") == Fraction(30000, 1001)
    assert exact_fps(59.94) == Fraction(60000, 1001)
    assert exact_fps(24.0) == 24
    assert exact_fps(12.5) == Fraction(25, 2)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "fast", "1/0", 5000, None])
def test_impossible_rates_are_refused(fps):
    with pytest.raises(MagiError, match="frames per second"):
        exact_fps(fps)


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
    write_video(path, [numbered(1)], 24, metadata={"title": "Täke 1", "comment": comment})
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "Täke 1"
        assert json.loads(container.metadata["comment"]) == comment
    with pytest.raises(MagiError, match="cannot keep mood: use title"):
        VideoWriter(path, 24, metadata={"mood": "blue"})


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


# --- reading -----------------------------------------------------------------------------------------------

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


def corners(width=96, height=64) -> torch.Tensor:
    """One frame: red, green / blue, white from top left to bottom right."""
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    half_h, half_w = height // 2, width // 2
    for (rows, columns), colour in zip(
        [(slice(0, half_h), slice(0, half_w)), (slice(0, half_h), slice(half_w, None))]
        + [(slice(half_h, None), slice(0, half_w)), (slice(half_h, None), slice(half_w, None))],
        ["red", "green", "blue", "white"],
        strict=True,
    ):
        frame[:, rows, columns] = torch.tensor(RGB[colour], dtype=torch.uint8)
    return frame


RGB = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def seen_corners(frame: torch.Tensor) -> list[str]:
    """Names of the colours at the four corners, row by row."""
    height, width = frame.shape[:2]
    places = [(8, 8), (8, width - 8), (height - 8, 8), (height - 8, width - 8)]
    names = {name: torch.tensor(colour) for name, colour in RGB.items()}
    return [min(names, key=lambda n: (frame[place].int() - names[n]).abs().sum().item()) for place in places]


# Display matrices (a, b, c, d) with x' = ax + cy, y' = bx + dy, y pointing down, and what is then seen.
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


# --- pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = Image.fromarray(corners()[0].numpy())
    stored = picture.transpose(undo[orientation]) if orientation > 1 else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "a.png"), corners()[0])


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("LA", (4, 4), (0, 0)), (255, 255, 255)),
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 0x8000, np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 0x0100, np.uint16)), (1, 1, 1)),
        (Image.new("P", (4, 4), 0), (0, 0, 0)),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, picture, expected):
    picture.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png")
    assert pixels.shape == (4, 4, 3) and pixels.dtype == torch.uint8
    assert tuple(pixels[0, 0].tolist()) == expected


def test_float_and_cmyk_tiffs_are_read(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tiff")
    assert tuple(read_image(tmp_path / "a.tiff")[0, 0].tolist()) == (128, 128, 128)
    Image.new("CMYK", (4, 4), (0, 0, 0, 0)).save(tmp_path / "b.tiff")
    assert tuple(read_image(tmp_path / "b.tiff")[0, 0].tolist()) == (255, 255, 255)


def test_unreadable_pictures_are_refused(tmp_path, monkeypatch):
    with pytest.raises(MagiError, match="there is no image at"):
        read_image(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(MagiError, match="is not an image"):
        read_image(tmp_path / "text.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with pytest.raises(MagiError, match="damaged or incomplete"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("L", (64, 64)).save(tmp_path / "big.png")
    with pytest.raises(MagiError, match="too large"):
        read_image(tmp_path / "big.png")


# --- fitting and arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("have", "want", "policy", "note"),
    [
        ((64, 64), (64, 64), "crop", ""),
        ((1920, 1080), (720, 720), "crop", "cropped 1920x1080 to 1080x1080 (1:1), then resized to 720x720"),
        ((96, 64), (64, 64), "crop", "cropped 96x64 to 64x64 (1:1)"),
        ((128, 128), (64, 64), "crop", "resized 128x128 to 64x64"),
        ((128, 96), (64, 64), "pad", "resized 128x96 to 64x48, then padded with black to 64x64"),
        ((64, 32), (64, 64), "pad", "padded 64x32 with black to 64x64"),
        ((128, 128), (64, 64), "pad", "resized 128x128 to 64x64"),
        ((128, 96), (64, 64), "stretch", "stretched 128x96 to 64x64 (proportions change)"),
        ((128, 128), (64, 64), "stretch", "resized 128x128 to 64x64"),
    ],
)
def test_fit_says_what_it_did(have, want, policy, note):
    frames, said = fit(torch.zeros(2, have[1], have[0], 3, dtype=torch.uint8), *want, policy)
    assert frames.shape == (2, want[1], want[0], 3) and frames.dtype == torch.uint8
    assert said == note


def test_crop_keeps_the_middle_pad_keeps_everything():
    frame = torch.zeros(1, 64, 192, 3, dtype=torch.uint8)
    frame[:, :, :64] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    frame[:, :, 64:128] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    frame[:, :, 128:] = torch.tensor([0, 0, 255], dtype=torch.uint8)
    cropped, _ = fit(frame, 64, 64, "crop")
    assert torch.equal(cropped, frame[:, :, 64:128])
    padded, _ = fit(frame, 96, 96, "pad")
    assert padded[0, 5].max() == 0 and padded[0, -5].max() == 0
    assert [padded[0, 48, x].argmax().item() for x in (10, 48, 86)] == [0, 1, 2]


def test_shrinking_does_not_alias():
    """Every third column white averages to an even grey instead of stripes."""
    lines = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    lines[:, :, ::3] = 255
    small, _ = fit(lines, 32, 32)
    assert (small[0, 4:-4, 4:-4].float() - 85).abs().max() < 8


def test_floats_stay_floats_in_their_range():
    frames = torch.rand(1, 40, 60, 3, generator=torch.Generator().manual_seed(0)).round()
    resized, _ = fit(frames, 80, 80)
    assert resized.dtype == torch.float32 and resized.min() >= 0 and resized.max() <= 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["crop", "pad", "stretch"]),
)
def test_any_size_fits_any_size(have_w, have_h, w, h, policy):
    frames, note = fit(torch.full((1, have_h, have_w, 3), 200, dtype=torch.uint8), 16 * w, 16 * h, policy)
    assert frames.shape == (1, 16 * h, 16 * w, 3)
    assert (note == "") == ((have_w, have_h) == (16 * w, 16 * h))
    if policy != "pad":
        assert (frames == 200).all()


def test_unknown_policies_are_refused():
    with pytest.raises(MagiError, match="'zoom': use crop, pad or stretch"):
        fit(torch.zeros(1, 8, 8, 3), 16, 16, "zoom")


@pytest.mark.parametrize("array", [np.zeros((8, 8, 3), np.uint8), torch.zeros(8, 8, 3), torch.zeros(1, 8, 8, 3).half()])
def test_an_image_becomes_one_frame(array):
    assert as_frames(array, "image").shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("array", "name", "message"),
    [
        (torch.zeros(8, 8), "image", "the image has shape"),
        (torch.zeros(8, 8, 4), "image", "flatten it first"),
        (torch.zeros(2, 8, 8, 3), "image", "the image has shape"),
        (torch.zeros(8, 8, 3), "video", r"must be \[frames, height, width, 3\]"),
        (torch.zeros(0, 8, 8, 3), "video", "the video is empty"),
        (torch.full((1, 8, 8, 3), 255.0), "video", "floats must lie in 0..1"),
        (torch.full((1, 8, 8, 3), -1.0), "video", "floats must lie in 0..1"),
        (torch.full((1, 8, 8, 3), float("nan")), "video", "floats must lie in 0..1"),
        (torch.zeros(1, 8, 8, 3, dtype=torch.int64), "video", "torch.int64"),
        ("picture.png", "image", "no array of pixels"),
    ],
)
def test_arrays_that_are_no_frames_are_refused(array, name, message):
    with pytest.raises(MagiError, match=message):
        as_frames(array, name)
