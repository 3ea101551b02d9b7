"""From a cleaned caption to token ids, with the end token `</s>` last, as T5 was trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json
from magi_core.inputs.regular import read_bounded
from magi_core.weights.places import TOKENIZER_FILES

END_TOKEN = "</s>"
UNKNOWN = "<unk>"
MAX_BYTES = 8 << 20  # T5's files take 0.8 and 2.4 MB
MAX_PIECES, MAX_LETTERS = 300_000, 4_000_000
PARTS = ("version", "added_tokens", "normalizer", "pre_tokenizer", "model")
KNOWN_PATTERNS = (" {2,}",)  # of regular expressions: runs of blanks


@dataclass(frozen=True)
class Tokenizer:
    """pieces: text -> ids without the end token. end: id of the end token. size: number of ids.

    unknown: id that stands for what the vocabulary lacks, or None.
    """

    pieces: Callable[[str], list[int]]
    end: int
    size: int
    unknown: int | None = None

    def ids(self, text: str) -> list[int]:
        """Token ids of `text`, the end token last (also for an empty text)."""
        return [*self.pieces(text), self.end]

    def unreadable(self, words: Sequence[str]) -> list[str]:
        """Those of `words` that it has no tokens for, or not for all of their letters."""
        return [word for word in dict.fromkeys(words) if self.unknown in self.pieces(word)]


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a T5 folder: `spiece.model` (SentencePiece, official), else `tokenizer.json` (tokenizers).

    SentencePiece is called directly: transformers' own T5 tokenizer gives the same ids but needs protobuf to convert
    the file. Raises `MagiError` when neither file is there, or the one there is damaged or lacks the end token.
    """
    for name, load in zip(TOKENIZER_FILES, (_sentencepiece, _tokenizers), strict=True):
        path = folder / name
        if not path.exists():
            continue
        content = read_bounded(path, "tokenizer", MAX_BYTES)
        try:
            tokenizer = load(content)
        except BaseException as error:  # the libraries raise bare ones for damaged files, Rust panics among them
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise MagiError(
                f"{path} is not a readable tokenizer ({echo(error)}). Delete it and download it again."
            ) from error
        if not 0 <= tokenizer.end < tokenizer.size:
            raise MagiError(f"{path} has no end token {END_TOKEN}: it is not the tokenizer of a T5 model")
        return tokenizer
    raise MagiError(
        f"{folder} has no tokenizer: spiece.model is missing. It is part of the t5-v1_1-xxl folder; download it and "
        "put it beside config.json."
    )


def _sentencepiece(content: bytes) -> Tokenizer:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=content)
    return Tokenizer(processor.encode, processor.eos_id(), processor.get_piece_size(), processor.unk_id())


def _tokenizers(content: bytes) -> Tokenizer:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(_harmless(parse_json(content, "it"))))
    end = tokenizer.token_to_id(END_TOKEN)
    return Tokenizer(
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        -1 if end is None else end,
        tokenizer.get_vocab_size(),
        tokenizer.token_to_id(UNKNOWN),
    )


def _harmless(content: Any) -> dict[str, Any]:
    """What of a tokenizer.json turns text into ids, if none of it can take unbounded time or memory."""
    kept = {name: content.get(name) for name in PARTS}
    pieces = _pieces(kept["model"].get("vocab", ()))
    if len(pieces) > MAX_PIECES or sum(map(len, pieces)) > MAX_LETTERS:
        raise MagiError(f"its vocabulary is too large: at most {MAX_PIECES:,} pieces are read")
    for pattern in _patterns([kept["normalizer"], kept["pre_tokenizer"]]):
        if pattern not in KNOWN_PATTERNS:
            raise MagiError(
                f"it splits text by a pattern that T5 does not have, {echo(pattern)}, which could take for ever"
            )
    return kept


def _pieces(vocabulary: Any) -> list[str]:
    """Of a vocabulary in either form: piece -> id, or a list of piece and score."""
    return [str(entry if isinstance(entry, str) else entry[0]) for entry in vocabulary]


def _patterns(part: Any) -> Iterator[str]:
    """All regular expressions in a part."""
    if isinstance(part, dict):
        if "Regex" in part:
            yield str(part["Regex"])
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _patterns(inner)
