"""What comes in by a route, checked: it may come from anybody who reaches the server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json

MAX_BODY = 2 << 20  # bytes
MAX_ID = 200  # characters


def body_of(content: bytes) -> Mapping[str, Any]:
    """The JSON object in a request; `MagiError` for anything else."""
    body = parse_json(content, "this request", MAX_BODY)
    if not isinstance(body, dict):
        raise MagiError("a request is a JSON object")
    return body


def text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise MagiError(f'"{name}" must be text: {echo(value)}')
    return value


def name_of(body: Mapping[str, Any], name: str) -> str:
    """A short text, such as an id; "" where there is none."""
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise MagiError(f'"{name}" must be a text of at most {MAX_ID} characters')
    return value


def one_of(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise MagiError(f'"{name}" must be one of {", ".join(allowed)}: {echo(value)}')
    return value


def rate(body: Mapping[str, Any], name: str = "fps") -> float:
    """Frames per second, as the widgets allow it."""
    value = body.get(name, 24)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and 0 < value <= 240):
        raise MagiError(f'"{name}" must be a number above 0 and at most 240: {echo(value)}')
    return float(value)


def whole(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MagiError(f'"{name}" must be a whole number from 0 on: {echo(value)}')
    return value


def listed(body: Mapping[str, Any], name: str, most: int) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise MagiError(f'"{name}" must be a list of at most {most:,}')
    return value


def mapped(body: Mapping[str, Any], name: str, most: int) -> Mapping[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict) or len(value) > most:
        raise MagiError(f'"{name}" must be an object of at most {most:,}')
    return value
