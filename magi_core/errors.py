"""The error that leaves the engine on purpose, and the two doors for text that came from outside.

`printable` is the last thing that happens to what is printed, `echo` the only way user input gets into a message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ECHO_LIMIT = 200  # characters of user input in one message
MESSAGE_LIMIT = 6000
OUT_OF_MEMORY = (  # what allocators say: the system's and PyTorch's, CUDA's libraries, ComfyUI's dynamic VRAM
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "vram grow failed",
    "vram reservation failed",
    "hostbuffer allocation failed",
    "hostbuffer.extend failed",
)
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class MagiError(ValueError):
    """Something the user can mend. The message says what was wrong, what is allowed and what to do.

    The message is made safe to print, and long words in it (names, paths) are cut: most come from files.
    """

    def __init__(self, message: object = "") -> None:
        words = printable(message).split(" ")
        super().__init__(_cut(" ".join(map(_cut_lines, words)), MESSAGE_LIMIT))


def printable(text: object) -> str:
    """`text` without what makes a terminal do things: control characters are shown as their escapes (`\\x1b`).

    So are marks that turn the direction of reading around, line separators and halves of surrogate pairs. Line breaks
    and tabs stay.
    """
    text = str(text)
    return text if text.isprintable() else "".join(_shown(letter) for letter in text)


def echo(value: Any, *, quoted: bool = True) -> str:
    """User input as messages show it, at most 200 characters: text in quotes, errors and paths as they are.

    quoted: False leaves the quotes of text out.
    """
    if isinstance(value, int) and value.bit_length() > 4 * ECHO_LIMIT:  # Python refuses to print the longest
        return "a number of hundreds of digits"
    plain = isinstance(value, BaseException | Path) or (isinstance(value, str) and not quoted)
    if isinstance(value, str):
        value = _cut(value, ECHO_LIMIT)
    elif isinstance(value, bytes | list | tuple):
        value = value[:ECHO_LIMIT]
    try:
        text = " ".join(str(value).split()) if plain else repr(value)
    except (ValueError, RecursionError):  # numbers or nesting that Python itself refuses to print
        text = f"a {type(value).__name__} too large to show"
    return _cut(printable(text), ECHO_LIMIT)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, of the device or the host; also where that is only the cause of the error."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in OUT_OF_MEMORY):
            return True
        error = error.__cause__
    return False


def _cut(text: str, limit: int) -> str:
    """The start and the end of a text that is longer than `limit`."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail - 3]}...{text[-tail:]}"


def _cut_lines(word: str) -> str:
    """A word, or words with only line breaks between them."""
    return "\n".join(_cut(line, ECHO_LIMIT) for line in word.split("\n"))


def _shown(letter: str) -> str:
    code = ord(letter)
    hidden = code < 0x20 or 0x7F <= code < 0xA0 or code in (0x2028, 0x2029, 0xFEFF) or 0xD800 <= code < 0xE000
    if letter in "\n\t" or not (hidden or letter in BIDI):
        return letter
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
