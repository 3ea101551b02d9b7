"""Pictures are read as they are meant to be seen, and arrays taken as frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video.images import as_frames, noted_frames, read_image, read_noted_image
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


@pytest.mark.parametrize(
    ("deep", "message"),
    [
        (np.full((4, 4), np.nan, np.float32), "no finite numbers"),
        (np.full((4, 4), -np.inf, np.float32), "no finite numbers"),
        (np.full((4, 4), 2**31 - 1, np.int32), "more than 16 bit"),
    ],
)
def test_numbers_that_are_no_brightness_are_refused_not_painted(tmp_path, deep, message):
    Image.fromarray(deep).save(tmp_path / "a.tiff")
    with pytest.raises(MagiError, match=message):
        read_image(tmp_path / "a.tiff")


def test_a_file_of_several_pictures_says_which_is_taken(tmp_path):
    pages = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 20, 30)]
    for name, notes in (
        ("a.tiff", ("the first of its 3 pages is taken",)),
        ("a.mpo", ()),  # as phones save a photograph with its depths
        ("a.gif", ("it moves, and its first picture is taken; as a video, all of it is",)),
    ):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        assert read_noted_image(tmp_path / name)[1] == notes


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
        (torch.zeros(8, 8, 2), "image", "the image has shape"),
        (torch.zeros(8, 8, 8, 5), "video", "the video has shape"),
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


def test_values_a_little_outside_are_cut_and_spoken_of():
    """As bicubic resizing makes them; far outside, the numbers mean something else."""
    resized = torch.tensor([-0.08, 0.5, 1.2]).expand(1, 8, 8, 3)
    frames, notes = noted_frames(resized)
    assert frames.min() == 0 and frames.max() == 1
    assert notes == ("values of the video from -0.08 to 1.2 were cut to 0..1",)
    assert noted_frames(torch.full((1, 8, 8, 3), 1.0005))[1] == ()


@pytest.mark.parametrize(("scale", "dtype"), [(255, torch.uint8), (1, torch.float32)])
def test_transparency_is_laid_on_white_and_spoken_of(scale, dtype):
    red = torch.tensor([scale, 0, 0, 0], dtype=dtype).expand(2, 8, 8, 4).clone()
    red[1, ..., 3] = scale
    frames, notes = noted_frames(red)
    assert frames[0].eq(scale).all() and frames[1, 0, 0].tolist() == [scale, 0, 0]
    assert notes == ("the video has transparency, which was laid on white",)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((8, 9), "image"), ((8, 9, 1), "image"), ((1, 8, 9), "image"), ((1, 8, 9, 1), "image")]
    + [((5, 8, 9), "video"), ((5, 8, 9, 1), "video")],
)
def test_grey_is_taken(shape, name):
    frames, notes = noted_frames(torch.full(shape, 77, dtype=torch.uint8), name)
    assert frames.shape == (1 if name == "image" else 5, 8, 9, 3) and frames.eq(77).all() and notes == ()


def test_what_becomes_of_a_picture_file_is_said(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 128)).save(tmp_path / "a.png")
    Image.new("RGBA", (4, 4), (255, 0, 0, 255)).save(tmp_path / "b.png")
    pictures = [Image.new("RGB", (4, 4), (n, n, n)) for n in (10, 200)]
    pictures[0].save(tmp_path / "c.webp", save_all=True, append_images=pictures[1:], duration=100)
    assert read_noted_image(tmp_path / "a.png")[1] == ("its transparency was laid on white",)
    assert read_noted_image(tmp_path / "b.png")[1] == ()
    assert "its first picture is taken" in read_noted_image(tmp_path / "c.webp")[1][0]
