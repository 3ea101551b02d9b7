"""What becomes of a prompt's words on their way to the model: told whenever some of them are lost."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from magi_core.errors import echo

_QUIET = re.compile(r"[\s.,;:!?'\"`´‘’“”«»…_\-‐‑‒–—]+")  # nobody misses these
_WORDS = re.compile(r"\w+|[^\w\s]")
MOST_WORDS = 6


def lost_in_cleaning(prompt: str, caption: str) -> str:
    """A note with what the model reads, `caption`, where cleaning took more than case and punctuation from `prompt`."""
    said, read = _even(prompt), _even(caption)
    if _QUIET.sub("", said) == _QUIET.sub("", read):
        return ""
    left_out = Counter(words_of(said)) - Counter(words_of(read))
    named = f" (left out: {_named(list(left_out))})" if left_out else ""
    return f"the model reads {echo(caption)}{named}. With clean off (--no-clean) it reads the prompt as typed"


def words_of(text: str) -> list[str]:
    """The words and symbols of `text` that are missed when they are lost."""
    return [*filter(_counts, _WORDS.findall(text))]


def unknown_words(words: list[str]) -> str:
    """A note on words that the text encoder has no token for; "" for none."""
    return f"the text encoder cannot read {_named(list(dict.fromkeys(words)))}" if words else ""


def _even(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _counts(word: str) -> bool:
    return _QUIET.fullmatch(word) is None


def _named(words: list[str]) -> str:
    more = f" and {len(words) - MOST_WORDS} more" if len(words) > MOST_WORDS else ""
    return ", ".join(echo(word[:40]) for word in words[:MOST_WORDS]) + more
