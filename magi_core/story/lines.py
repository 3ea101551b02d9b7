"""A storyboard line by line, as an editor shows it: what each line says, and how it was typed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from magi_core.errors import MagiError
from magi_core.inputs.json_text import parse_json
from magi_core.story.chunk import ChunkSpec
from magi_core.story.places import Placing
from magi_core.story.storyboard import (
    MAX_CHARACTERS,
    Entry,
    board_of,
    check_length,
    entries_of,
    is_json,
    json_entry,
    line_entry,
    says_nothing,
)

Form = Literal["text", "json"]
MOST_FAULTS = 50
BOM = "\ufeff"
_WHERE = re.compile(r"(line|entry) (\d{1,9}): (.*)", re.DOTALL)
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
JSON_START = re.compile(r'\ufeff?\s*(?:\{\s*"chunks"\s*:\s*)?\[')


@dataclass(frozen=True)
class Line:
    """first, last: its chunks. spec: what it says of the first of them. source: as it was typed, with what stands
    around it and belongs to no line; the sources of all lines, one after the other, are the text."""

    first: int
    last: int
    spec: ChunkSpec
    source: str = ""

    @property
    def json(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last} | self.spec.json | {"source": self.source}


@dataclass(frozen=True)
class Told:
    """A storyboard that can be read. lines: in the order they are typed in. chunks: how many it describes. notes: see
    `Storyboard`."""

    lines: tuple[Line, ...]
    chunks: int
    form: Form
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong in a storyboard. line: from 1, None where no single line is wrong."""

    line: int | None
    message: str


def read_lines(text: str, fps: float) -> Told:
    """The lines of a storyboard; `MagiError` as of `parse_storyboard`."""
    check_length(text)
    form: Form = "json" if is_json(text.removeprefix(BOM)) else "text"
    placing, entries = Placing(fps), list(entries_of(text))
    sources = _json_sources(text, len(entries)) if form == "json" else _text_sources(text)
    lines = [Line(*placing.add(*entry), entry[2], source) for entry, source in zip(entries, sources, strict=True)]
    board = board_of(placing)
    return Told(tuple(lines), len(board), form, board.notes)


def faults(text: str, fps: float) -> list[Fault]:
    """All that is wrong with a storyboard, as far as it can be told, in the order of its lines; none: it can be read.

    Behind a line that cannot be read, lines without a number are not placed: nobody knows where they would be.
    """
    try:
        read_lines(text, fps)
        return []
    except MagiError as error:
        first, where = error, _WHERE.fullmatch(str(error))
    if len(text) > MAX_CHARACTERS or is_json(text.removeprefix(BOM)) and (where is None or where[1] != "entry"):
        found = [first]  # of the whole
    else:
        found = list(islice(_faults(text, fps), MOST_FAULTS))
    lines = _json_lines(text)
    return [_fault(error, lines) for error in found or [first]]


def json_values(text: str) -> list[tuple[int, int]] | None:
    """Where in a storyboard in JSON its entries stand; None where it is written in an unusual way."""
    start = JSON_START.match(text)
    if start is None:
        return None
    places, position = [], _after_space(text, start.end())
    while position < len(text) and text[position] != "]":
        try:
            _, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        places.append((position, end))
        position = _after_space(text, end)
        if text[position : position + 1] == ",":
            position = _after_space(text, position + 1)
    rest = text[position:].split()
    return places if "".join(rest) in ("]", "]}") else None


def _faults(text: str, fps: float) -> Iterator[MagiError]:
    placing, lost = Placing(fps), False
    for entry in _entries_or_errors(text):
        if isinstance(entry, MagiError):
            lost = True
            yield entry
        elif entry[1] is not None or not lost:
            try:
                placing.add(*entry)
            except MagiError as error:
                lost = True
                yield error
    if not lost:
        try:
            board_of(placing)
        except MagiError as error:
            yield error


def _entries_or_errors(text: str) -> Iterator[Entry | MagiError]:
    text = text.removeprefix(BOM)
    if not is_json(text):
        typed = ((number, line) for number, line in enumerate(text.splitlines(), start=1) if not says_nothing(line))
        yield from (_tried(line_entry, line, f"line {number}") for number, line in typed)
        return
    places = json_values(text) or []
    written = (text[start:end] for start, end in places)
    yield from (_tried(_json_entry_of, entry, f"entry {number}") for number, entry in enumerate(written, start=1))


def _json_entry_of(text: str, where: str) -> Entry:
    return json_entry(parse_json(text, where), where)


def _tried(read: Any, written: Any, where: str) -> Entry | MagiError:
    try:
        return read(written, where)
    except MagiError as error:
        return error


def _fault(error: MagiError, json_lines: list[int]) -> Fault:
    found = _WHERE.fullmatch(str(error))
    if found is None:
        return Fault(None, str(error))
    number = int(found[2])
    if found[1] == "entry":
        number = json_lines[number - 1] if number <= len(json_lines) else 1
    return Fault(number, found[3])


def _json_lines(text: str) -> list[int]:
    """The line that every entry of a storyboard in JSON begins in."""
    places = json_values(text) or [] if is_json(text.removeprefix(BOM)) else []
    lines, line, done = [], 1, 0
    for start, _ in places:
        line += text.count("\n", done, start)
        done = start
        lines.append(line)
    return lines


def _text_sources(text: str) -> list[str]:
    sources, before = [], ""
    for typed in text.splitlines(keepends=True):
        before += typed
        if not says_nothing(typed.removeprefix(BOM)):
            sources.append(before)
            before = ""
    if sources:
        sources[-1] += before
    return sources


def _json_sources(text: str, count: int) -> list[str]:
    """Every entry with the comma and space before it; the first has the beginning, the last the end."""
    places = json_values(text)
    if not places or len(places) != count:
        return ([text] + [""] * count)[:count]
    starts = [0, *(end for _, end in places[:-1])]
    return [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return position if found is None else found.end()
