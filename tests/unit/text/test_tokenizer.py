"""Both kinds of tokenizer end a prompt with the end token, or say why they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from magi_core.errors import MagiError
from magi_core.text import load_text_encoder, prepare_caption
from tests.unit.text.t5_folders import PROMPT, WORDS, copied, write_word_level


def test_spiece_ids_end_with_the_end_token_and_restore_the_caption(bin_folder: Path) -> None:
    import sentencepiece

    tokenizer = load_text_encoder(bin_folder).tokenizer
    *pieces, end = tokenizer.ids(prepare_caption(PROMPT))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(bin_folder / "spiece.model"))
    assert end == tokenizer.end == 1
    assert processor.decode(pieces) == prepare_caption(PROMPT)


def test_word_level_ids_end_with_the_end_token_and_ignore_stored_limits(safetensors_folder: Path) -> None:
    tokenizer = load_text_encoder(safetensors_folder).tokenizer
    ids = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    assert tokenizer.ids("a red ball rolls left unheard") == [
        ids[word] for word in ("a", "red", "ball", "rolls", "left", "<unk>", "</s>")
    ]


def test_a_missing_or_broken_tokenizer(bin_folder: Path, tmp_path: Path) -> None:
    folder = copied(bin_folder, tmp_path, "spiece.*")
    with pytest.raises(MagiError, match="no tokenizer: spiece.model is missing"):
        load_text_encoder(folder)
    for name in ("tokenizer.json", "spiece.model"):
        (folder / name).write_bytes(b"not a tokenizer")
        with pytest.raises(MagiError, match=f"{name} is not a readable tokenizer"):
            load_text_encoder(folder)


def test_a_tokenizer_of_another_model(bin_folder: Path, tmp_path: Path) -> None:
    folder = copied(bin_folder, tmp_path, "spiece.*")
    write_word_level(folder, ("<pad>", "<unk>", *WORDS))
    with pytest.raises(MagiError, match="no end token </s>"):
        load_text_encoder(folder)
    write_word_level(folder, ("<pad>", "</s>", "<unk>", *(f"word{i}" for i in range(200))))
    with pytest.raises(MagiError, match="203 tokens, the model only 128"):
        load_text_encoder(folder)
