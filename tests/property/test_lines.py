"""A storyboard read line by line and written again: nothing changes, or exactly what was asked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from magi_core.errors import MagiError
from magi_core.story.chunk import ChunkSpec
from magi_core.story.lines import Line, read_lines
from magi_core.story.rewrite import write_lines
from magi_core.story.storyboard import parse_storyboard
from tests.property.bounded import bounded

PROMPTS = st.sampled_from(["a red ball", "", "10 balls", "a  b", r"a \[cut] b", "ein Föhn：x", '"quoted"', "[x", "{y"])
PLACES = st.sampled_from(["", "{n}", "{n}-{m}", "{n}s", "{n}s-{m}s", " {n} ", "{n} - {m}"])
TAGS = st.sampled_from(["", " [cut]", " [reroll 2] [echo]", " [tokens hq]", "[ranges 1,1,2]"])
NOTHING = st.sampled_from(["", "# a comment", "   ", "  # 3: not a line"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
SPECS = st.builds(
    ChunkSpec,
    PROMPTS.map(lambda prompt: prompt.replace("\\", "")),
    seed_offset=st.integers(-3, 3),
    transition=st.sampled_from(["continue", "cut", "new_shot"]),
    special_tokens=st.none() | st.just(()) | st.just(("HQ",)),
)


@st.composite
def texts(draw) -> str:
    """The text form, mostly one that can be read."""
    lines, chunk = [], 0
    for _ in range(draw(st.integers(1, 7))):
        lines += draw(st.lists(NOTHING, max_size=2))
        chunk += draw(st.integers(0, 2)) if lines and chunk else 0
        last = chunk + draw(st.integers(1, 3))
        place = draw(PLACES)
        head = place.format(n=chunk, m=last) + draw(TAGS)
        lines.append(f"{head}: {draw(PROMPTS)}" if head.strip() else draw(PROMPTS))
        chunk = last + 1 if "m" in place else chunk + 1
    lines += draw(st.lists(NOTHING, max_size=2))
    if draw(st.booleans()):
        lines = draw(st.permutations(lines))
    end = draw(ENDS)
    return draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end]))


@st.composite
def jsons(draw) -> str:
    entries, chunk = [], 0
    for _ in range(draw(st.integers(1, 5))):
        last = chunk + draw(st.integers(0, 2))
        said = draw(SPECS).json
        entries.append(draw(st.sampled_from([{"at": f"{chunk}-{last}"} | said, {"at": chunk} | said, said, "plain"])))
        chunk = last + 1
    value = draw(st.sampled_from([entries, {"chunks": entries}]))
    return json.dumps(value, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))


def told(text: str) -> list[Line]:
    try:
        return list(read_lines(text, 24).lines)
    except MagiError:
        assume(False)
        raise


def said(lines: list[Line]) -> list[tuple[int, int, ChunkSpec]]:
    return [(line.first, line.last, line.spec) for line in lines]


@bounded(300)
@given(text=texts() | jsons())
def test_what_is_read_and_written_is_the_same_text(text: str) -> None:
    lines = told(text)
    form = read_lines(text, 24).form
    assert write_lines(lines, form, 24) == text
    board = parse_storyboard(text)
    by_chunk = {
        chunk: line.spec if chunk == line.first else line.spec.going_on
        for line in lines
        for chunk in range(line.first, line.last + 1)
    }
    assert all(board.chunks[chunk] == spec for chunk, spec in by_chunk.items())


@bounded(300)
@given(text=texts() | jsons(), edits=st.data())
def test_edited_lines_are_read_as_they_were_asked(text: str, edits) -> None:
    """Changed, moved to other places, swapped, taken out, put in: with comments that stay."""
    lines, form = told(text), read_lines(text, 24).form
    for _ in range(edits.draw(st.integers(1, 3))):
        at = edits.draw(st.integers(0, len(lines) - 1))
        kind = edits.draw(st.sampled_from(["say", "move", "swap", "new", "drop"]))
        if kind == "say":
            lines[at] = replace(lines[at], spec=edits.draw(SPECS))
        elif kind == "swap":
            lines[0], lines[at] = lines[at], lines[0]
        elif kind == "new":
            lines.insert(at, Line(0, 0, edits.draw(SPECS)))
        elif kind == "drop" and len(lines) > 1:
            del lines[at]
        if kind in ("move", "new", "drop"):
            chunk = 0
            for n, line in enumerate(lines):
                length = line.last - line.first
                lines[n] = replace(line, first=chunk, last=chunk + length)
                chunk += length + 1
    try:
        written = write_lines(lines, form, 24)
    except MagiError:
        assert min(line.first for line in lines) > 0, "no line is at chunk 0"
        return
    again = read_lines(written, 24)
    assert (said(list(again.lines)), again.form) == (said(lines), form)
    kept = [part for line in lines for part in line.source.splitlines() if part.lstrip().startswith("#")]
    assert form == "json" or [part for part in written.splitlines() if part.lstrip().startswith("#")] == kept


def test_lines_that_are_no_storyboard_are_refused() -> None:
    for lines in ([], [Line(1, 1, ChunkSpec("a"))], [Line(0, 1, ChunkSpec("a")), Line(1, 1, ChunkSpec("b"))]):
        for form in ("text", "json"):
            with pytest.raises(MagiError):
                write_lines(lines, form, 24)
