"""Random T5 models in the layouts that are downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

PROMPT = "A red ball rolls to the left; the camera pans right."
WORDS = ["a", "red", "ball", "rolls", "to", "the", "left", "camera", "pans", "right"]
CHANNELS = 32


def write_spiece(folder: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([PROMPT.lower(), "she's smiling, it's 5 o'clock", "a blue cube - moves up"] * 5),
        model_prefix=str(folder / "spiece"),
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )


def write_word_level(folder: Path, words: tuple[str, ...] = ("<pad>", "</s>", "<unk>", *WORDS)) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=24)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for file in folder.glob("*.bin") for name, t in torch.load(file, weights_only=True).items()}


def copied(folder: Path, tmp_path: Path, *without: str) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*without))
    return target


def with_weights(folder: Path, tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    target = copied(folder, tmp_path, "*.bin", "*.index.json")
    torch.save(state, target / "pytorch_model.bin")
    return target
