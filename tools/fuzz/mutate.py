"""Inputs out of other inputs: bytes flipped, cut, doubled and spliced; JSON values put in place of one another."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"%!PS",
    b"\x1b[2J",
)
ODD_TEXT = (
    "",
    "-",
    ":",
    "0-",
    "[cut]",
    "[",
    "\\[",
    "\u202e",
    "\x1b[31m",
    "1e400",
    "9" * 30,
    " " * 300,
    "\uff1a",
    "\U0001f600",
    "\n",
    "\x00",
)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**9, 1e308, -0.0, 0.5,
    "", "128", "nan", "../../x", "\x1b[31m", "x" * 5000, [], {}, [[]], {"": None}, [0] * 300,
)  # fmt: skip
GROWTH = 1 << 20  # bytes an input may grow to


def mutated(inputs: Sequence[bytes], rng: random.Random) -> bytes:
    """A changed copy of one of `inputs`; of its JSON, where it is JSON, half of the time."""
    content = rng.choice(inputs)
    if rng.random() < 0.5:
        value = _json(content)
        if value is not None:
            return json.dumps(_changed(value, rng)).encode()
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        content = _damaged(content, rng.choice(inputs), rng)
    return content[:GROWTH]


def mutated_json(value: Any, rng: random.Random) -> Any:
    """`value` with one to three of its parts replaced, left out, doubled or renamed."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _changed(value, rng)
    return value


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _damaged(content: bytes, other: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    end = min(len(content), place + rng.choice((1, 1, 2, 4, 8, 64, 1024)))
    match rng.randrange(7):
        case 0 if place < len(content):
            return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        case 1:
            return content[:place]
        case 2:
            return content[:place] + content[end:]
        case 3:
            return content[:end] + content[place:end] * rng.choice((1, 2, 50)) + content[end:]
        case 4:
            return content[:place] + rng.choice(ODD_TEXT).encode() + content[place:]
        case 5:
            start = rng.randrange(len(other) + 1)
            return content[:place] + other[start : start + 64] + content[end:]
        case _:
            odd = rng.choice(ODD_BYTES)
            return content[:place] + odd + content[place + len(odd) :]


def _changed(value: Any, rng: random.Random) -> Any:
    """`value` with a change at one place, picked by walking down."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.05:
            return {("_" + k if k == key else k): v for k, v in value.items()}
        return value | {key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case 2:
                return value[::-1]
            case _:
                return [*value[:place], _changed(value[place], rng), *value[place + 1 :]]
    if isinstance(value, int) and rng.random() < 0.3:
        return value + rng.choice((-1, 1, 10**6))
    return rng.choice(ODD_VALUES)
