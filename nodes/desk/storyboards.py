"""The storyboard for the timeline: text to lines and back. The grammar is `magi_core.story`'s alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from magi_core.config import MAX_CHUNKS
from magi_core.errors import MagiError
from magi_core.story.chunk import ChunkSpec, json_fields
from magi_core.story.lines import Form, Line, faults, read_lines
from magi_core.story.rewrite import write_lines

from .asked import listed, one_of, rate, text, whole

MAX_LINES = 10_000


def read(body: Mapping[str, Any]) -> dict[str, Any]:
    """`POST /magi/storyboard/read`."""
    story, fps = text(body, "text"), rate(body)
    try:
        told = read_lines(story, fps)
    except MagiError:
        return {"errors": [asdict(fault) for fault in faults(story, fps)]}
    lines = [line.json for line in told.lines]
    return {"lines": lines, "chunks": told.chunks, "form": told.form, "notes": list(told.notes)}


def write(body: Mapping[str, Any]) -> dict[str, Any]:
    """`POST /magi/storyboard/write`."""
    lines = [_line(number, line) for number, line in enumerate(listed(body, "lines", MAX_LINES), start=1)]
    return {"text": write_lines(lines, cast(Form, one_of(body, "form", ("text", "json"))), rate(body))}


def _line(number: int, line: Any) -> Line:
    try:
        if not isinstance(line, dict):
            raise MagiError("must be an object")
        first, last = whole(line, "first"), whole(line, "last")
        if not first <= last < MAX_CHUNKS:
            raise MagiError(f"chunks {first} to {last} are no place in a video of at most {MAX_CHUNKS:,} chunks")
        source = text(line, "source") if "source" in line else ""
        return Line(first, last, ChunkSpec(text(line, "prompt"), **json_fields(line)), source)
    except MagiError as error:
        raise MagiError(f"line {number}: {error}") from None
