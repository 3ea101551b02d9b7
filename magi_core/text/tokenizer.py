"""From a cleaned caption to token ids, with the end token `</s>` last, as T5 was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from magi_core.errors import MagiError

END_TOKEN = "</s>"
TOKENIZER_FILES = ("spiece.model", "tokenizer.json")  # official, and as transformers writes it


@dataclass(frozen=True)
class Tokenizer:
    """pieces: text -> ids without the end token. end: id of the end token. size: number of ids."""

    pieces: Callable[[str], list[int]]
    end: int
    size: int

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, the end token last (also for an empty text)."""
        return [*self.pieces(text), self.end]


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a T5 folder: `spiece.model` (SentencePiece, official), else `tokenizer.json` (tokenizers).

    SentencePiece is called directly: transformers' own T5 tokenizer gives the same ids but needs protobuf to convert
    the file. Raises `MagiError` when neither file is there, or the one there is damaged or lacks the end token.
    """
    for name, load in zip(TOKENIZER_FILES, (_sentencepiece, _tokenizers), strict=True):
        path = folder / name
        if not path.is_file():
            continue
        try:
            tokenizer = load(path)
        except Exception as error:  # both libraries raise bare Exception or RuntimeError for damaged files
            raise MagiError(
                f"{path} is not a readable tokenizer ({error}). Delete it and download it again."
            ) from error
        if not 0 <= tokenizer.end < tokenizer.size:
            raise MagiError(f"{path} has no end token {END_TOKEN}: it is not the tokenizer of a T5 model")
        return tokenizer
    raise MagiError(
        f"{folder} has no tokenizer: spiece.model is missing. It is part of the t5-v1_1-xxl folder; download it and "
        "put it beside config.json."
    )


def _sentencepiece(path: Path) -> Tokenizer:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=path.read_bytes())
    return Tokenizer(processor.encode, processor.eos_id(), processor.get_piece_size())


def _tokenizers(path: Path) -> Tokenizer:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    end = tokenizer.token_to_id(END_TOKEN)
    return Tokenizer(
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        -1 if end is None else end,
        tokenizer.get_vocab_size(),
    )
