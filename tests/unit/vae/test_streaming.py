"""Frames are streamed back block by block, and a part decodes as it does in the whole."""

from __future__ import annotations

import pytest
import torch

from magi_core.vae import TileSettings
from tests.unit.vae.small_vae import codec, decoded, latents


def test_blocks_do_not_depend_on_what_follows() -> None:
    z = latents(9)
    longer = list(codec().decode(z))
    shorter = list(codec().decode(z[:, :, :6]))
    assert all(torch.equal(a, b) for a, b in zip(shorter, longer, strict=False))


@pytest.mark.parametrize("overlap", [0.0, 1 / 3])
@pytest.mark.parametrize(("start", "stop"), [(0, 8), (3, 8), (4, 7), (5, 6), (7, 8), (2, 2)])
def test_a_part_decodes_as_it_does_in_the_whole(overlap: float, start: int, stop: int) -> None:
    vae, z = codec(TileSettings(16, 16, 12, 0.25, overlap)), latents(8)
    whole = decoded(vae, z)
    part = [*vae.decode(z, start=start, stop=stop), whole[:0]]
    assert torch.equal(torch.cat(part), whole[4 * start : 4 * stop])


@pytest.mark.parametrize("first", [3, 6])
def test_a_part_that_begins_with_a_tile_needs_nothing_before_it(first: int) -> None:
    z = latents(8)
    assert torch.equal(decoded(codec(), z[:, :, first:], first), decoded(codec(), z)[4 * first :])


@pytest.mark.parametrize("first", [1, 2, 4])
def test_tiles_stay_on_the_absolute_grid(first: int) -> None:
    """Given a part that begins inside a tile, everything after that tile is as in the whole."""
    z, boundary = latents(8), -(-first // 3) * 3
    part = decoded(codec(), z[:, :, first:], first)
    assert part.shape[0] == 4 * (8 - first)
    assert torch.equal(part[4 * (boundary - first) :], decoded(codec(), z)[4 * boundary :])


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_part_has_all_its_frames_where_tiles_overlap_in_time(first: int) -> None:
    vae, z = codec(TileSettings(16, 16, 12, 0.25, 1 / 3)), latents(9)
    part = decoded(vae, z[:, :, first:], first)
    assert part.shape[0] == 4 * (9 - first)
    assert torch.equal(part[-12:], decoded(vae, z)[-12:])


def test_only_the_first_tile_is_decoded_before_the_first_block() -> None:
    vae, seen = codec(), []
    plain = vae.model.decode
    vae.model.decode = lambda z, quirks: seen.append(z.shape[2]) or plain(z, quirks)
    next(vae.decode(latents(300, 2, 2)))
    assert seen == [3]


def test_streaming_does_not_switch_gradients_off_for_the_reader() -> None:
    for _ in codec().decode(latents(6)):
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("overlap", [0.0, 1 / 3])
def test_tiles_that_are_coded_together_are_those_coded_one_by_one(overlap):
    tile = TileSettings(16, 16, 12, 0.25, overlap)
    together, single, z = codec(tile, tokens=200), codec(tile), latents(6, 9, 9)
    assert single.at_once == 1 and together.at_once == 4
    batches: list[int] = []
    decode = together.model.decode
    together.model.decode = lambda x, *rest: (batches.append(len(x)), decode(x, *rest))[1]
    assert torch.allclose(together.tiled_decode(z), single.tiled_decode(z), atol=1e-5)
    assert max(batches) > 1
    video = torch.rand(1, 3, 24, 36, 36)
    assert torch.allclose(together.tiled_encode(video), single.tiled_encode(video), atol=1e-5)


def test_where_memory_runs_out_tiles_go_one_by_one_before_they_shrink():
    notes: list[str] = []
    vae, z = codec(TileSettings(16, 16), tokens=200, on_note=notes.append), latents(6, 9, 9)
    decode = vae.model.decode

    def limited(x, *rest):
        if len(x) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return decode(x, *rest)

    vae.model.decode = limited
    expected = decoded(codec(TileSettings(16, 16)), z)
    assert torch.equal(decoded(vae, z), expected) and vae.at_once == 1 and not notes
