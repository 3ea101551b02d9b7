"""Per-chunk noise and special tokens, and directions that are refused before any work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.story.direction import DirectedPrompt
from magi_core.story.storyboard import ChunkSpec, parse_storyboard
from magi_core.text import SpecialTokens
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES
from tests.unit.story.runs import SIZE, relative, render
from tools.small_models import CHANNELS, WordEncoder, tiny_engine


def test_a_reroll_changes_its_chunk_and_those_after_it_only():
    engine, prompts = tiny_engine(), ["red", "blue", "green", "tree"]
    plain = render(engine, prompts, seed=5)
    rerolled = render(engine, ["red", "blue", ChunkSpec("green", 2), "tree"], seed=5)
    assert [c.seed for c in rerolled.chunks] == [5, 5, 7, 5]
    torch.testing.assert_close(rerolled.latents[:, :, :12], plain.latents[:, :, :12], rtol=0, atol=1e-5)
    for index in (2, 3):
        assert relative(rerolled.chunks[index].latent, plain.chunks[index].latent) > 1e-3
    remembered = engine.extend(engine.begin(**SIZE, seed=5), ["red", "blue", ChunkSpec("green", 2), "tree"])
    assert torch.equal(remembered.latents, rerolled.latents)


def test_special_tokens_of_a_chunk_go_before_the_prompts_and_the_settings():
    rows = {
        n: torch.randn(CHANNELS, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(SPECIAL_TOKEN_NAMES)
    }
    plain = tiny_engine()
    engine = plain.copy(special_tokens=SpecialTokens(rows))
    hq = render(engine.with_settings(special_tokens=("HQ",)), "red").latents
    assert torch.equal(render(engine, ChunkSpec("red", special_tokens=("hq",))).latents, hq)
    prompt = replace(WordEncoder().encode("red"), special_tokens=("THREE_D_MODEL",))
    assert torch.equal(render(engine, DirectedPrompt(ChunkSpec("red", special_tokens=("HQ",)), prompt)).latents, hq)
    none = render(engine.with_settings(special_tokens=("HQ",)), ChunkSpec("red", special_tokens=())).latents
    assert torch.equal(none, render(plain, "red").latents) and relative(none, hq) > 1e-3
    with pytest.raises(MagiError, match="special_tokens.npz"):
        render(plain, ChunkSpec("red", special_tokens=("HQ",)))


@pytest.mark.parametrize(
    ("directions", "chunks", "message"),
    [
        ([ChunkSpec("red", kv_ranges=(1, 1, 1))], 1, "chunk 0 of these 1: 3 KV ranges cannot share 8 steps .* 4"),
        (["a", ChunkSpec("red", kv_ranges=(6, 1))], 1, "chunk 1 of these 2: a KV range of 6 .* at most 5"),
        (ChunkSpec("a"), 0, "chunks must be at least 1"),
        (parse_storyboard("0-2: a"), 2, "3 prompts for 2 chunks"),
        ([], 1, "there is no prompt"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(directions, chunks, message):
    engine = tiny_engine()
    engine = engine.copy(text_encoder=None)  # nothing may be encoded before the check
    with pytest.raises(MagiError, match=message):
        engine.extend(engine.begin(**SIZE), directions, chunks)
