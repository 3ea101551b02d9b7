"""HDR and wide-gamut videos look as an SDR version of them would, and a note says what was done."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from magi_core.video import read_video
from magi_core.video.hdr import to_sdr

PQ, HLG, BT2020_TEN_BITS, BT709 = 16, 18, 14, 1
FROM_RGB = np.array([[0.2627, 0.6780, 0.0593], [-0.13963, -0.36037, 0.5], [0.5, -0.45979, -0.04021]])  # BT.2020


def write(path: Path, transfer: int, colours: list[tuple[float, float, float]], *, primaries: int = 9) -> Path:
    """A frame of each colour, signals in 0..1, as 10 bits of BT.2020."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv444p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, primaries, 9, 1
        for index, colour in enumerate(colours):
            y, u, v = FROM_RGB @ np.array(colour)
            frame = av.VideoFrame(32, 32, "yuv444p10le")
            for plane, level in zip(frame.planes, (64 + 876 * y, 512 + 896 * u, 512 + 896 * v), strict=True):
                plane.update(np.full((32, plane.line_size // 2), round(level), np.uint16).tobytes())
            frame.colorspace, frame.color_range = 9, 1
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def greys(levels: list[float]) -> list[tuple[float, float, float]]:
    return [(level,) * 3 for level in levels]


def shown(video) -> torch.Tensor:
    """The colour of each frame."""
    assert all(frame.float().std(dim=(0, 1)).max() < 1 for frame in video.frames)
    return video.frames[:, 16, 16].int()


@pytest.mark.parametrize(
    ("name", "transfer", "signals", "expected"),
    [
        # Black, 18 % grey and white of BT.2408 (38 %, 58 %; 38 %, 75 %), 1000 cd/m2, the top.
        ("PQ", PQ, [0, 0.38, 0.58, 0.752, 1], [0, 108, 230, 255, 255]),
        ("HLG", HLG, [0, 0.38, 0.75, 1], [0, 109, 230, 255]),
    ],
)
def test_greys_of_hdr_come_to_their_place(tmp_path, name, transfer, signals, expected):
    video = read_video(write(tmp_path / "a.mkv", transfer, greys(signals)))
    seen = shown(video)
    assert (seen - torch.tensor(expected)[:, None]).abs().max() <= 3
    assert any(f"HDR ({name})" in note and "tone-mapped to SDR" in note for note in video.notes)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_stays_brighter_and_grey_stays_grey(tmp_path, transfer):
    seen = shown(read_video(write(tmp_path / "a.mkv", transfer, greys(np.linspace(0, 0.75, 16).tolist()))))
    assert (seen.amax(dim=1) - seen.amin(dim=1)).max() <= 1
    assert (seen[1:, 1] - seen[:-1, 1]).min() >= 1


@pytest.mark.parametrize("transfer", [PQ, HLG, BT2020_TEN_BITS])
def test_colours_keep_their_hue(tmp_path, transfer):
    strong = [(0.5, 0.2, 0.2), (0.2, 0.5, 0.2), (0.2, 0.2, 0.5)]
    seen = shown(read_video(write(tmp_path / "a.mkv", transfer, strong)))
    assert seen.argmax(dim=1).tolist() == [0, 1, 2]
    assert (seen.amax(dim=1) - seen.amin(dim=1)).min() > 50


def test_ten_bits_of_bt2020_without_hdr_only_change_their_colours(tmp_path):
    """The red of BT.709, said in BT.2020: linear 0.6274, 0.0691, 0.0164 (BT.2087)."""
    red = tuple(value ** (1 / 2.4) for value in (0.6274, 0.0691, 0.0164))
    video = read_video(write(tmp_path / "a.mkv", BT2020_TEN_BITS, [red, (0.5, 0.5, 0.5), (1, 1, 1)]))
    expected = torch.tensor([[255, 0, 0], [128, 128, 128], [255, 255, 255]])
    # Near black, a step of ten bits is many of a screen's levels.
    assert ((shown(video) - expected).abs() <= torch.tensor([[2, 40, 40], [1, 1, 1], [2, 2, 2]])).all()
    assert "BT.2020" in video.notes[0] and "HDR" not in video.notes[0]


def test_ordinary_videos_are_left_alone(tmp_path):
    video = read_video(write(tmp_path / "a.mkv", BT709, greys([0, 0.5, 1]), primaries=1))
    assert (shown(video) - torch.tensor([0, 128, 255])[:, None]).abs().max() <= 1 and video.notes == ()


def test_every_code_gives_a_colour():
    codes = np.linspace(0, 65535, 3 * 4096).astype(np.uint16).reshape(64, 64, 3)
    for light in ("PQ", "HLG", "BT.2020"):
        made = to_sdr(codes, light)
        assert made.shape == (64, 64, 3) and made.dtype == np.uint8
        assert made[0, 0].tolist() == [0, 0, 0] and made[-1, -1].tolist() == [255, 255, 255]
