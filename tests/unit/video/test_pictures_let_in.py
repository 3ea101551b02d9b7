"""Which pictures are opened at all: by content, from a list, of a bounded size, and nothing they name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from magi_core.errors import MagiError
from magi_core.video import images
from magi_core.video.images import read_image
from tests.resident_memory import resident_peak

REPOSITORY = Path(__file__).parents[3]
GIGABYTE = 1 << 30


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
