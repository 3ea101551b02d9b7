"""The one door for JSON: bounded in size, depth and the length of its numbers, before Python's parser sees it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import read_text

MAX_BYTES = 8 << 20
MAX_DEPTH = 48
MAX_DIGITS = 20  # of a whole number: all that 64 bits hold
_STRUCTURE = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


def parse_json(text: str | bytes, where: object, limit: int = MAX_BYTES) -> Any:
    """The value in `text`. where: the file or place, for messages.

    Raises `MagiError` for text that is not JSON in UTF-8, is longer than `limit` or nested deeper than 48 levels, for
    numbers that are not finite, for whole numbers of more than 20 digits, and for a name that is given twice: which of
    the two is meant, readers do not agree on.
    """
    if len(text) > limit:
        raise MagiError(f"{where} is too large for JSON: {len(text):,} characters, at most {limit:,} are read")
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        _check_depth(text)
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_each_once
        )
    except json.JSONDecodeError as error:
        raise MagiError(f"line {error.lineno}: {where} looks like JSON but is not valid: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise MagiError(f"{where} is not usable JSON: {echo(error)}") from None


def read_json(path: str | Path, what: str) -> Any:
    """The value in the JSON file at `path`; `MagiError` as `parse_json`, and for what is no regular file."""
    return parse_json(read_text(path, what, MAX_BYTES), path)


def _check_depth(text: str) -> None:
    depth, quoted = 0, False
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if mark == '"':
            quoted = not quoted
        elif not quoted and mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        elif not quoted and mark in "]}":
            depth -= 1


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{echo(twice)} is in it twice")
    return content


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:
        raise ValueError(f"it has a whole number of {len(digits)} digits, at most {MAX_DIGITS} are possible")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it has a number that is not finite ({digits[:20]})")
    return value
