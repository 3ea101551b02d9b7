"""T5 folders in both layouts against transformers' own loading, and prompts at their limits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.text import load_text_encoder, prepare_caption
from tests.unit.text.t5_folders import CHANNELS, PROMPT, stored, with_weights


def _transformers_tokens(folder: Path, ids: list[int], padded_to: int) -> torch.Tensor:
    """The reference's way: transformers loads the folder, and the prompt is padded and masked."""
    from transformers import T5EncoderModel

    model = T5EncoderModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    padded = torch.tensor([ids + [0] * (padded_to - len(ids))])
    mask = torch.tensor([[1] * len(ids) + [0] * (padded_to - len(ids))])
    with torch.no_grad():
        return model(input_ids=padded, attention_mask=mask).last_hidden_state[0, : len(ids)]


@pytest.mark.parametrize("layout", ["bin_folder", "safetensors_folder"])
def test_embeddings_equal_those_of_transformers(layout: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(layout)
    encoder = load_text_encoder(folder)
    embedding = encoder.encode(PROMPT)
    ids = encoder.tokenizer.ids(prepare_caption(PROMPT))
    assert embedding.prompt == PROMPT and embedding.notes == () and not embedding.is_null
    assert embedding.tokens.shape == (len(ids), CHANNELS) == (len(ids), encoder.channels)
    assert embedding.tokens.dtype == torch.float32
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(folder, ids, len(ids)), rtol=0, atol=0)
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(folder, ids, 64), rtol=0, atol=2e-6)


def test_both_layouts_hold_the_same_model(bin_folder: Path, safetensors_folder: Path) -> None:
    ours = [load_text_encoder(folder).states.model.state_dict() for folder in (bin_folder, safetensors_folder)]
    assert ours[0].keys() == ours[1].keys()
    assert all(torch.equal(ours[0][name], ours[1][name]) for name in ours[0])


def test_an_embedding_table_under_its_other_name_is_found(bin_folder: Path, tmp_path: Path) -> None:
    state = stored(bin_folder)
    table = state.pop("shared.weight")
    folder = with_weights(bin_folder, tmp_path, state)
    assert torch.equal(load_text_encoder(folder).states.model.shared.weight, table)


def test_a_long_prompt_is_cut_before_the_end_token_with_a_note(bin_folder: Path) -> None:
    encoder = load_text_encoder(bin_folder, max_length=20)
    prompt = "red ball " * 2500
    embedding = encoder.encode(prompt)
    ids = encoder.tokenizer.ids(prepare_caption(prompt))
    assert len(ids) > 5000
    assert embedding.tokens.shape == (20, CHANNELS)
    assert embedding.notes == (f"prompt cut to 20 tokens (it has {len(ids)})",)
    kept = [*ids[:19], encoder.tokenizer.end]
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(bin_folder, kept, 20), rtol=0, atol=0)


def test_a_prompt_that_just_fits_is_left_whole(bin_folder: Path) -> None:
    length = len(load_text_encoder(bin_folder).encode(PROMPT).tokens)
    assert load_text_encoder(bin_folder, max_length=length).encode(PROMPT).notes == ()
    assert load_text_encoder(bin_folder, max_length=length - 1).encode(PROMPT).notes != ()


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "empty prompt"),
        (" \n\t", "empty prompt"),
        ("free download", "nothing is left"),
        ("\u200b", "nothing is left"),
    ],
)
def test_a_prompt_without_content_is_the_null_text(bin_folder: Path, prompt: str, reason: str) -> None:
    embedding = load_text_encoder(bin_folder).encode(prompt)
    assert embedding.is_null and embedding.tokens.shape == (0, CHANNELS)
    assert len(embedding.notes) == 1 and embedding.notes[0].startswith(reason)
    assert embedding.notes[0].endswith("renders as null text")


def test_half_precision_keeps_the_output_layers_wide(bin_folder: Path) -> None:
    wide = load_text_encoder(bin_folder).encode(PROMPT).tokens
    encoder = load_text_encoder(bin_folder, dtype=torch.float16)
    dtypes = {name: t.dtype for name, t in encoder.states.model.state_dict().items()}
    assert {d for n, d in dtypes.items() if n.endswith(".wo.weight")} == {torch.float32}
    assert {d for n, d in dtypes.items() if not n.endswith(".wo.weight")} == {torch.float16}
    torch.testing.assert_close(encoder.encode(PROMPT).tokens, wide, rtol=0.02, atol=0.02)
    narrow = load_text_encoder(bin_folder, dtype=torch.bfloat16)
    assert {t.dtype for t in narrow.states.model.state_dict().values()} == {torch.bfloat16}
    torch.testing.assert_close(narrow.encode(PROMPT).tokens, wide, rtol=0.1, atol=0.1)


def test_number_formats_can_be_named(bin_folder: Path) -> None:
    assert load_text_encoder(bin_folder, dtype="auto").states.model.dtype == torch.float32
    assert load_text_encoder(bin_folder, dtype="bf16").states.model.dtype == torch.bfloat16
    with pytest.raises(MagiError, match="unknown number format int3"):
        load_text_encoder(bin_folder, dtype="int3")


def test_prompts_as_typed_are_other_words_and_lost_ones_are_told(bin_folder) -> None:
    encoder = load_text_encoder(bin_folder)
    cleaned, typed = encoder.encode("C3PO rolls"), encoder.as_typed().encode("C3PO rolls")
    assert encoder.caption("C3PO rolls") == "rolls" and encoder.as_typed().caption(" C3PO  rolls") == "C3PO rolls"
    assert any("the model reads 'rolls' (left out: 'c3po')" in note for note in cleaned.notes)
    assert not any("the model reads" in note for note in typed.notes)
    assert cleaned.origin != typed.origin and encoder.clean


def test_a_tokenizer_in_the_folder_beside_is_read(bin_folder: Path, tmp_path: Path) -> None:
    whole = load_text_encoder(shutil.copytree(bin_folder, tmp_path / "whole"))
    t5 = shutil.copytree(bin_folder, tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    for name in ("spiece.model", "tokenizer.json"):
        if (t5 / name).exists():
            (t5 / name).rename(tmp_path / "tokenizer" / name)
    apart = load_text_encoder(t5)
    assert torch.equal(apart.encode("a red ball").tokens, whole.encode("a red ball").tokens)
    assert apart.identity == whole.identity
