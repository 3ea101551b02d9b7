"""Animated WebP is a video, with the times its pictures are shown."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video import animated, read_video


def write(path, levels, durations, mode="RGB"):
    pictures = [Image.fromarray(np.full((32, 48, len(mode)), level, np.uint8), mode) for level in levels]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, lossless=True)
    return path


def levels(path, **how):
    return read_video(path, **how).frames[:, 16, 16, 0].tolist()


def test_pictures_stay_for_their_time(tmp_path):
    path = write(tmp_path / "a.webp", [10, 100, 200], [500, 250, 250])
    assert levels(path) == [10] * 12 + [100] * 6 + [200] * 6
    assert levels(path, start=0.5, seconds=0.25) == [100] * 6
    assert levels(path, fps=8, max_frames=5) == [10] * 4 + [100]
    assert read_video(path, sound=True).sound is None


def test_the_name_does_not_matter(tmp_path):
    assert len(levels(write(tmp_path / "a.webp", [10, 20], [500, 500]).rename(tmp_path / "a.mp4"))) == 24


def test_pictures_of_no_time_are_shown_as_browsers_do(tmp_path):
    assert levels(write(tmp_path / "a.webp", [10, 20], [0, 0]), fps=10) == [10, 20]


def test_transparency_shows_white(tmp_path):
    path = write(tmp_path / "a.webp", [0, 128], [500, 500], mode="RGBA")
    assert levels(path, fps=2)[0] == 255


def test_pauses_of_hours_are_refused(tmp_path):
    path = write(tmp_path / "a.webp", [10, 20], [16_000_000, 16_000_000])
    with pytest.raises(MagiError, match="is too long: .*pictures stay on for very long"):
        read_video(path)


def test_what_is_no_video_is_refused(tmp_path, monkeypatch):
    still = tmp_path / "still.webp"
    Image.new("RGB", (32, 32)).save(still)
    with pytest.raises(MagiError, match="is a still picture: start from it as an image"):
        read_video(still)
    path = write(tmp_path / "a.webp", list(range(0, 200, 10)), 100)
    monkeypatch.setattr(animated, "MAX_PIXELS", 32 * 48 - 1)
    with pytest.raises(MagiError, match="too large: 48 x 32"):
        read_video(path)
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MagiError, match="damaged or incomplete"):
        read_video(path)
