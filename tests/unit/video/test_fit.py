"""Frames are fitted to a size, and what was done to them is said."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magi_core.errors import MagiError
from magi_core.video.images import fit


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
