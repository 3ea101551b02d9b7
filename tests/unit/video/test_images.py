"""Pictures are read as they are meant to be seen, and arrays taken as frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video.images import as_frames, read_image
from tests.pictures import corners


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
