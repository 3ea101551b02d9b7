"""Frames in, latents out, frames back, whatever the size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.vae import TileSettings
from magi_core.vae.codec import to_frames, to_signed
from tests.unit.vae.small_vae import PATCH, codec, decoded, latents, model


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_latent_frame_decodes_to_four_frames(count: int) -> None:
    blocks = list(codec().decode(latents(count)))
    assert all(block.dtype == torch.uint8 and block.device.type == "cpu" for block in blocks)
    assert torch.cat(blocks).shape == (4 * count, 20, 24, 3)


@pytest.mark.parametrize("size", [(4, 4), (8, 16), (16, 8), (20, 24), (12, 36)])
def test_any_multiple_of_the_patch_works(size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (12, *size, 3), dtype=torch.uint8)
    z = codec().encode(frames)
    assert z.shape == (1, 3, 3, size[0] // PATCH, size[1] // PATCH) and z.dtype == torch.float32
    assert decoded(codec(), z).shape == frames.shape


def test_the_flag_brings_back_the_references_lost_frames() -> None:
    assert torch.cat(list(codec().decode(latents(4), reference_quirks=True))).shape[0] == 13
    assert model().decode(latents(1), reference_quirks=True).shape[2] == 1


def test_encode_scales_what_decode_unscales() -> None:
    vae, frames = codec(TileSettings()), torch.rand(4, 16, 16, 3)
    expected = vae.model.encode(frames.permute(3, 0, 1, 2)[None] * 2 - 1) * 0.18215
    z = vae.encode(frames)
    assert torch.allclose(z, expected, atol=1e-6)
    assert torch.equal(decoded(vae, z), to_frames(vae.model.decode(z / 0.18215)))


def test_uint8_and_float_frames_mean_the_same() -> None:
    frames = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    assert torch.allclose(codec().encode(frames), codec().encode(frames.float() / 255), atol=1e-6)


def test_pixels_survive_the_range_change_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert torch.equal(to_frames(to_signed(levels).permute(3, 0, 1, 2)[None]), levels)


def test_levels_are_rounded_to_the_nearest_and_clamped() -> None:
    video = (torch.tensor([100.4, 100.6, -3.0, 300.0]) / 127.5 - 1).view(1, 1, 4, 1, 1).expand(1, 3, 4, 1, 1)
    assert to_frames(video)[:, 0, 0, 0].tolist() == [100, 101, 0, 255]


def test_an_image_is_one_latent_frame_as_if_it_stood_still() -> None:
    image = torch.rand(1, 16, 16, 3)
    assert torch.equal(codec().encode(image), codec().encode(image.expand(4, -1, -1, -1)))


@pytest.mark.parametrize("count", [2, 3, 5, 13, 30])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_incomplete_groups_repeat_the_first_frame_and_keep_every_one(count: int, overlap: float) -> None:
    frames = torch.rand(count, 16, 16, 3, generator=torch.Generator().manual_seed(count))
    filled = torch.cat([frames[:1].expand(-count % 4, -1, -1, -1), frames])
    vae = codec(tile=TileSettings(16, 16, frames=8, temporal_overlap=overlap))
    assert vae.encode(frames).equal(vae.encode(filled))


def test_a_long_video_is_filled_up_without_a_copy_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    largest, join = [], torch.cat

    def counted(parts: list[Tensor], dim: int = 0) -> Tensor:
        largest.append(sum(part.shape[dim] for part in parts))
        return join(parts, dim)

    monkeypatch.setattr(torch, "cat", counted)
    codec().encode(torch.zeros(101, 16, 16, 3, dtype=torch.uint8))
    assert 0 < max(largest) < 100


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(4, 18, 16, 3), "height must be a multiple of 4 for the VAE: 18 -> use 16 or 20"),
        (torch.zeros(4, 16, 3, 3), "width must be a multiple of 4 for the VAE: 3 -> use 4"),
        (torch.zeros(0, 16, 16, 3), "shape"),
        (torch.zeros(16, 16, 3), "shape"),
        (torch.zeros(4, 16, 16, 3, dtype=torch.int64), "uint8, or float"),
    ],
)
def test_bad_frames_are_refused(frames: Tensor, message: str) -> None:
    with pytest.raises(MagiError, match=message):
        codec().encode(frames)


def test_bad_latents_are_refused_at_the_call() -> None:
    with pytest.raises(MagiError, match="latents of 3 channels, but the model needs 16"):
        codec().decode(torch.zeros(1, 16, 1, 4, 4))
    with pytest.raises(MagiError, match="not among those given: 6 to 8"):
        codec().decode(latents(2), 6, start=5)
