"""Where memory runs out the codec goes on in smaller tiles, and says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.vae import VAE, TileSettings
from tests.unit.vae.small_vae import PATCH, codec, decoded, latents


def short_of_memory(vae: VAE, largest: int) -> None:
    """From now on a tile with a side above `largest` pixels does not fit."""

    def limited(plain: Callable[..., Tensor], scale: int) -> Callable[..., Tensor]:
        def code(x: Tensor, *rest: bool) -> Tensor:
            if max(x.shape[3:]) * scale > largest:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return plain(x, *rest)

        return code

    vae.model.encode, vae.model.decode = limited(vae.model.encode, 1), limited(vae.model.decode, PATCH)


def test_out_of_memory_goes_on_in_smaller_tiles_and_says_so() -> None:
    notes: list[str] = []
    vae, z = codec(TileSettings(64, 64), on_note=notes.append), latents(6, 12, 12)
    stream = vae.decode(z)
    blocks = [next(stream)]  # the first tile still fits
    short_of_memory(vae, 20)
    blocks += stream
    assert torch.cat(blocks).shape == (24, 48, 48, 3)
    assert notes == ["out of memory: the VAE goes on in tiles of 16 x 16 pixels"]
    assert torch.equal(blocks[1], decoded(codec(TileSettings(16, 16)), z)[12:])
    assert vae.encode(torch.cat(blocks)).shape == z.shape


def test_no_memory_at_all_is_one_clear_error() -> None:
    vae = codec()
    short_of_memory(vae, 0)
    with pytest.raises(MagiError, match="not enough memory on cpu"):
        decoded(vae, latents(1))
    with pytest.raises(MagiError, match="not enough memory on cpu"):
        vae.encode(torch.rand(1, 16, 16, 3))


def test_other_errors_are_not_mistaken_for_lack_of_memory() -> None:
    vae = codec()
    vae.model.decode = lambda *_: (_ for _ in ()).throw(RuntimeError("kernel failed"))
    with pytest.raises(RuntimeError, match="kernel failed"):
        decoded(vae, latents(1))
