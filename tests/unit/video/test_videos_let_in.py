"""Which videos are opened at all: by content, from a list, of a bounded size, and nothing they name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from magi_core.errors import MagiError
from magi_core.vae.prefix import resample
from magi_core.video import files, frame_source
from magi_core.video.files import read_video
from magi_core.video.images import read_image

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
    monkeypatch.setattr(files, "BESIDE", 0)
    assert len(read_video(path).frames) == 48
    monkeypatch.setattr(files, "BESIDE", 10_000_000)
    with pytest.raises(MagiError, match="is too long"):
        read_video(path)
    monkeypatch.setattr(files, "BESIDE", 0)
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
