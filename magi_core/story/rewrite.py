"""An edited storyboard as text again: what still says the same stays as it was typed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from magi_core.errors import MagiError
from magi_core.story.chunk import ChunkSpec
from magi_core.story.lines import BOM, JSON_START, Form, Line, read_lines
from magi_core.story.misread import typed
from magi_core.story.places import Placing, place_in_words
from magi_core.story.storyboard import json_entry, line_entry, says_nothing

_LINE_END = re.compile(r"\r\n|\n|\r")
_GLUE = re.compile(r"\s*,?\s*")


def write_lines(lines: Sequence[Line], form: Form, fps: float) -> str:
    """The text or JSON whose lines are `lines`, in their order.

    A line keeps its source where that says the same at its place; other lines are written anew, with the comments that
    were around them. Raises `MagiError` where the lines are no storyboard.
    """
    for keep in (True, False):
        written = (_json if form == "json" else _text)(lines, fps, keep)
        try:
            told = read_lines(written, fps)
        except MagiError:
            if not keep:
                raise
            continue
        if told.form == form and _said(told.lines) == _said(lines):
            break
    return written


def _said(lines: Sequence[Line]) -> list[tuple[int, int, ChunkSpec]]:
    return [(line.first, line.last, line.spec) for line in lines]


def _text(lines: Sequence[Line], fps: float, keep: bool) -> str:
    ends = (found[0] for line in lines if (found := _LINE_END.search(line.source)))
    end = next(ends, "\n")
    parts: list[str] = []
    following = 0
    for line in lines:
        part = _text_source(line, following, fps, keep, end)
        if parts and not _ends(parts[-1]):
            parts[-1] += end
        parts.append(part)
        following = line.last + 1
    bom = BOM if lines and lines[0].source.startswith(BOM) else ""
    return bom + "".join(parts)


def _text_source(line: Line, following: int, fps: float, keep: bool, end: str) -> str:
    """A line with its comments. following: the chunk that a line without a number would be."""
    typed_lines = line.source.lstrip(BOM).splitlines(keepends=True)
    telling = [not says_nothing(each) for each in typed_lines]
    at = telling.index(True) if any(telling) else len(typed_lines)
    if keep and sum(telling) == 1 and _says(line, typed_lines[at], following, fps):
        return "".join(typed_lines)
    around = [each for each, tells in zip(typed_lines, telling, strict=True) if not tells]
    before, after = "".join(around[:at]), "".join(around[at:])
    if before and not _ends(before):
        before += end
    ending = end if after or not typed_lines or _ends(typed_lines[-1]) else ""
    return f"{before}{_text_line(line)}{ending}{after}"


def _says(line: Line, source: str, following: int, fps: float) -> bool:
    try:
        return _is(line, *line_entry(source, "line 1"), following, fps)
    except MagiError:
        return False


def _is(line: Line, where: str, place: str | None, spec: ChunkSpec, following: int, fps: float) -> bool:
    """Whether `spec` at `place` is what `line` says."""
    placing = Placing(fps)
    placing.following = following
    return spec == line.spec and placing.place(where, place) == (line.first, line.last)


def _text_line(line: Line) -> str:
    head = " ".join(filter(None, (place_in_words(line.first, line.last), line.spec.tags)))
    return f"{head}: {typed(line.spec.prompt)}".rstrip()


def _ends(text: str) -> bool:
    """Whether `text` ends with the end of a line."""
    return not text or len(f"{text[-1]}x".splitlines()) == 2


def _json(lines: Sequence[Line], fps: float, keep: bool) -> str:
    whole = "".join(line.source for line in lines)
    if keep and _is_as_typed(whole, lines, fps):
        return whole
    entries, following = [], 0
    for line in lines:
        entries.append((_json_source(line, following, fps) if keep else None) or _json_line(line))
        following = line.last + 1
    inner = ",\n    ".join(entries)
    return f'{{\n  "chunks": [\n    {inner}\n  ]\n}}\n'


def _is_as_typed(whole: str, lines: Sequence[Line], fps: float) -> bool:
    try:
        told = read_lines(whole, fps)
    except MagiError:
        return False
    return told.form == "json" and _said(told.lines) == _said(lines)


def _json_source(line: Line, following: int, fps: float) -> str | None:
    """The entry of a line as it was typed, where it still says the same."""
    start = JSON_START.match(line.source)
    glue = _GLUE.match(line.source, 0 if start is None else start.end())
    at = 0 if glue is None else glue.end()
    try:
        value, end = json.JSONDecoder().raw_decode(line.source, at)
        same = _is(line, *json_entry(value, "entry 1"), following, fps)
    except (MagiError, ValueError, RecursionError):
        return None
    return line.source[at:end] if same else None


def _json_line(line: Line) -> str:
    at = {"at": place_in_words(line.first, line.last)}
    return json.dumps(at | line.spec.json | {"prompt": typed(line.spec.prompt)}, ensure_ascii=False)
