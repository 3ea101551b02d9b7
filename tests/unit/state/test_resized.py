"""A take brought to another size: the source of a finish that is larger than its draft."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from magi_core.errors import MagiError
from magi_core.state import SamplerState, resized, resizing_in_words
from magi_core.state.resized import resized_latents
from tools.small_models import tiny_engine


@pytest.fixture(scope="module")
def take() -> SamplerState:
    engine = tiny_engine(steps=4)
    given = torch.randn(1, 16, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    return engine.extend(engine.begin(width=32, height=32, seed=5, prefix=given), ["red", "blue"])


def test_every_frame_and_channel_is_resized_by_itself_and_keeps_its_mean() -> None:
    latents = torch.randn(3, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    made = resized_latents(latents, 8, 12)
    alone = F.interpolate(latents[1, 1][None, None], (8, 12), mode="bicubic", align_corners=False, antialias=True)
    assert made.shape == (3, 2, 8, 12) and torch.allclose(made[1, 1], alone[0, 0], atol=1e-6)
    even = torch.full((1, 1, 4, 4), 2.5)
    for size in ((8, 8), (2, 2), (6, 10)):
        assert torch.allclose(resized_latents(even, *size), torch.full((1, 1, *size), 2.5), atol=1e-5)


def test_a_resized_take_has_all_its_chunks_at_the_new_size_under_other_keys(take) -> None:
    made = resized(take, 64, 48)
    assert (made.width, made.height, made.finished, made.frames) == (64, 48, take.finished, take.frames)
    assert made.latents.shape == (1, 16, 18, 6, 8) and made.anchor.shape == (16, 2, 6, 8)
    assert torch.equal(made.chunk_latent(1)[:, :2], made.anchor), "given frames are what the chunk begins with"
    keys = [{state.chunk_key(i) for i in range(3)} for state in (take, made, resized(take, 48, 64))]
    assert len(set.union(*keys)) == 9
    assert made.frontier is None and resized(take, 32, 32) is take


def test_chunks_in_flight_are_left_out_of_a_resized_take_and_that_is_said() -> None:
    engine = tiny_engine(steps=4)
    flying = engine.extend(engine.begin(width=32, height=32, seed=5), ["red", "blue"] * 3, drain=False)
    assert flying.pending and flying.finished and not resized(flying, 64, 32).pending
    resizing, dropped = resizing_in_words(flying, 64, 32, 0.5)
    assert resizing == "the take's latents are brought from 32x32 to 64x32"
    assert (
        dropped
        == "3 chunks of the take, left in flight, are not in what is made of it: to have that, finish the take first"
    )
    assert resizing_in_words(flying, 32, 32, 0.5) == (), "the plan of a second pass says it then"
    assert dropped in engine.plan(engine.begin_again(flying), ["a tree"], source=flying).notes


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((40, 32), "width must be a multiple of 16: 40 -> use 32 or 48"),
        ((32, 0), "height must be a multiple of 16"),
        ((32.0, 32), "width must be a whole number"),
        ((1_000_000, 32), "width must be a whole number of at most 16,384"),
    ],
)
def test_a_size_that_no_video_has_is_refused(take, size, message) -> None:
    with pytest.raises(MagiError, match=message):
        resized(take, *size)


def test_a_draft_is_finished_at_another_size(take) -> None:
    engine = tiny_engine(steps=4)
    source = resized(take, 64, 32)
    begun = engine.begin(width=64, height=32, seed=5, prefix=source.prefix)
    kept, made, anew = (
        engine.extend(begun, ["red", "blue"], source=source, strength=strength) for strength in (0, 0.5, 1)
    )
    assert torch.equal(kept.latents, source.latents)
    assert not torch.equal(made.latents, anew.latents) and not torch.equal(made.latents, source.latents)
