"""Pictures read, fitted to a size, and arrays taken as frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magi_core.errors import MagiError
from magi_core.video.images import as_frames, fit, read_image
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
