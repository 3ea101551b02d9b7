"""Which pictures and videos are opened at all: by content, from a list, of a bounded size, and nothing they name."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, ImageFile

from magi_core.errors import MagiError
from magi_core.vae.prefix import resample
from magi_core.video import files, frame_source, images
from magi_core.video.files import read_video
from magi_core.video.images import read_image
from tests.resident_memory import resident_peak

REPOSITORY = Path(__file__).parents[3]
GIGABYTE = 1 << 30


def encode(path: Path, codec: str, times: list[Fraction], *, side: int = 64) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width = stream.height = side
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 20 * (number % 10), np.uint8), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def seconds(count: int, *, start: float = 0) -> list[Fraction]:
    return [Fraction(start) + Fraction(k, 24) for k in range(count)]


# --- pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\xc5\xd0\xd3\xc6" + bytes(40)]
)
def test_postscript_is_never_run(tmp_path, monkeypatch, content):
    def run(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, run)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    (tmp_path / "a.png").write_bytes(content + b"%%EndComments\n(x) (w) file\nshowpage\n")
    with pytest.raises(MagiError, match="not an image of a format that is read here"):
        read_image(tmp_path / "a.png")


def test_formats_that_are_not_pictures_people_use_are_refused(tmp_path):
    """Of all that this Pillow writes, only what is on the list is read, under whatever name."""
    Image.init()
    tried = 0
    for name in sorted(set(Image.SAVE) - set(images.FORMATS) - {"JPEG", "MPO", "DIB", "SPIDER"}):
        path = tmp_path / f"{name}.png"
        try:
            Image.new("RGB", (32, 32)).save(path, name)
        except Exception:  # formats of other modes
            continue
        with pytest.raises(MagiError):
            read_image(path)
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize("name", images.FORMATS)
def test_pictures_people_use_are_read(tmp_path, name):
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {name}")
    Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / "a", name)
    assert read_image(tmp_path / "a").shape == (30, 40, 3)


@pytest.mark.parametrize(("name", "options"), [("GIF", {}), ("WEBP", {"lossless": True})])
def test_animations_give_their_first_picture(tmp_path, name, options):
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    first.save(tmp_path / "a", name, save_all=True, append_images=[second], duration=100, **options)
    assert tuple(read_image(tmp_path / "a")[5, 5].tolist()) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "RGB", "LA"])
def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch, mode):
    Image.new(mode, (9000, 7000)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 1 << 20
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(MagiError, match="too large an image: 9000 x 7000"):
        read_image(tmp_path / "a.png")


def test_endless_sides_are_refused(tmp_path):
    Image.new("L", (100_000, 2)).save(tmp_path / "a.png")
    with pytest.raises(MagiError, match="too large an image: 100000 x 2"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["I;16", "RGBA"])
def test_the_largest_pictures_stay_below_a_gigabyte(tmp_path, mode):
    Image.new(mode, (7800, 7800)).save(tmp_path / "a.png", compress_level=1)
    used = resident_peak(f"""
        from magi_core.video.images import fit, read_image
        fit(read_image({str(tmp_path / "a.png")!r})[None], 720, 720)
    """)
    assert used < 0.9 * GIGABYTE


def test_deep_pictures_are_scaled_row_by_row_as_before(tmp_path):
    deep = np.arange(700 * 3, dtype=np.uint16).reshape(700, 3) * 31
    Image.fromarray(deep).save(tmp_path / "a.png")
    wanted = (deep.astype(np.float64) * (255.0 / 65535)).round().astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / "a.png")[..., 0].numpy(), wanted)


# --- videos ------------------------------------------------------------------------------------------------


def test_files_that_name_other_files_are_not_followed(tmp_path):
    """Each would be a video, by FFmpeg's own choice of demuxer."""
    real = encode(tmp_path / "real.mp4", "mpeg4", seconds(5))
    encode(tmp_path / "part.ts", "libx264", seconds(24))
    for index in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / f"img{index:03d}.png")
    lists = {
        "concat.mp4": "ffconcat version 1.0\nfile real.mp4\n",
        "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\npart.ts\n#EXT-X-ENDLIST\n",
        "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\npart.ts\n#EXT-X-ENDLIST\n",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "manifest.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
        "img%03d.png": "never read: FFmpeg takes the name for a pattern",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(MagiError, match="lists of files and numbered pictures are not followed"):
            read_video(tmp_path / name)
    with av.open(str(tmp_path / "concat.mp4")) as followed:  # what the list keeps away from
        assert followed.format.name == "concat"
    assert len(read_video(real).frames) == 5


def test_the_list_of_containers_takes_effect(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.avi", "mpeg4", seconds(5))
    assert len(read_video(path).frames) == 5
    monkeypatch.setattr(frame_source, "CONTAINERS", ("mov", "matroska"))
    with pytest.raises(MagiError, match="cannot be read as a video"):
        read_video(path)


def test_only_the_file_protocol_is_open(tmp_path):
    """Through PyAV, with the options that `open_video` gives."""
    encode(tmp_path / "a.mp4", "mpeg4", seconds(5))
    for address in (f"concat:{tmp_path / 'a.mp4'}", f"subfile,,start,0,end,0,,:{tmp_path / 'a.mp4'}", "data:,x"):
        with pytest.raises((av.error.FFmpegError, ValueError)):
            av.open(address, options={"protocol_whitelist": "file"})


@pytest.mark.parametrize("address", ["http://example.org/a.mp4", "https://example.org/a.png", "rtsp://example.org/a"])
@pytest.mark.parametrize("read", [read_image, read_video])
def test_network_addresses_are_refused(read, address):
    with pytest.raises(MagiError, match="network addresses are not read"):
        read(address)


def test_names_that_look_like_addresses_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.mp4", "mpeg4", seconds(5)).rename(tmp_path / "concat:a.mp4")
    assert len(read_video("concat:a.mp4").frames) == 5


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mkv", "mpeg4", seconds(2), side=128)
    monkeypatch.setattr(frame_source, "MAX_PIXELS", 128 * 128 - 1)
    monkeypatch.setattr(frame_source, "_upright_rgb", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(MagiError, match="the pictures of .* are too large: 128 x 128"):
        read_video(path)


def test_pixels_cannot_be_stretched_without_end():
    stretched = SimpleNamespace(sample_aspect_ratio=Fraction(60_000))
    with pytest.raises(MagiError, match="the pictures of a.mkv are too large: 3840000 x 64"):
        frame_source._upright_rgb(av.VideoFrame(64, 64, "rgb24"), stretched, Path("a.mkv"))


def test_a_pause_of_hours_is_refused_at_once(tmp_path):
    path = encode(tmp_path / "a.mkv", "mpeg4", [*seconds(5), *seconds(5, start=36_000)])
    with pytest.raises(MagiError, match="is too long: .*pictures stay on for very long.* Cut it"):
        read_video(path)
    assert len(read_video(path, max_frames=100).frames) == 100  # what was asked for is made


def test_pauses_are_spoken_of(tmp_path):
    path = encode(tmp_path / "a.mkv", "mpeg4", [*seconds(5), *seconds(5, start=10)])
    assert "pictures stay on for long" in read_video(path).notes[-1]


def test_what_a_small_file_may_take_is_bounded(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mkv", "mpeg4", seconds(48))
    monkeypatch.setattr(files, "SMALL_FILE_MEMORY", 64 * 64 * 3 * 20 + 10_000_000)
    monkeypatch.setattr(frame_source, "HELD", 0)
    assert len(read_video(path).frames) == 48
    monkeypatch.setattr(files, "SMALL_FILE_MEMORY", 64 * 64 * 3 * 20)
    with pytest.raises(MagiError, match="is too long"):
        read_video(path)
    monkeypatch.setattr(files, "SMALL_FILE", 0)  # a file that could hold as much
    monkeypatch.setattr(files, "FRAMES_RATIO", 1000)
    assert len(read_video(path).frames) == 48


def test_decoded_frames_do_not_wait_for_the_garbage_collector(tmp_path):
    """Frames of 1080p that pile up until it comes would be gigabytes."""
    import gc

    path = encode(tmp_path / "a.mkv", "mpeg4", seconds(30))
    gc.collect()
    gc.disable()
    try:
        for _ in frame_source.FrameSource(path):
            pass
        assert sum(type(held) is av.VideoFrame for held in gc.get_objects()) <= 2
    finally:
        gc.enable()


def test_a_rate_near_zero_does_not_make_frames_without_end():
    with pytest.raises(MagiError, match="would make"):
        resample(torch.zeros(50, 8, 8, 3), 0.1, 240)
    assert len(resample(torch.zeros(50, 8, 8, 3), 5, 120)) == 1200


# --- no regular files --------------------------------------------------------------------------------------


@pytest.fixture(params=["pipe", "device", "folder", "socket"])
def irregular(request, tmp_path):
    path = tmp_path / "given.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "device":
        path = Path("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    return path, request.param


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("read", [read_image, read_video])
def test_only_regular_files_are_opened(irregular, read):
    path, kind = irregular
    with pytest.raises(MagiError, match=f"is a {kind}, not an? (image|video)"):
        read(path)


# --- one place ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (r"\bImage\.open\(", {"magi_core/video/images.py"}),
        (
            r"\bav\.open\(",
            {"magi_core/video/frame_source.py", "magi_core/video/mp4.py", "magi_core/video/recording.py"},
        ),
    ],
)
def test_every_reader_goes_through_one_place(call, allowed):
    """mp4.py and recording.py open files to write them."""
    sources = [
        file for folder in ("magi_core", "nodes", "tools", "scripts") for file in (REPOSITORY / folder).rglob("*.py")
    ]
    found = {file.relative_to(REPOSITORY).as_posix() for file in sources if re.search(call, file.read_text("utf-8"))}
    assert found == allowed
