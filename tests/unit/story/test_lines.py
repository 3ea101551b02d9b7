"""A storyboard line by line: what stays as it was typed after an edit, and all faults at their lines."""

from __future__ import annotations

from dataclasses import replace

from magi_core.story.chunk import ChunkSpec
from magi_core.story.lines import Fault, Line, faults, read_lines
from magi_core.story.rewrite import write_lines

TYPED = "# the ball\n0: a red  ball\n\n# then\n4s-6s [cut]: a hand\nit lets go\n# end"


def test_a_line_has_what_was_typed_with_the_comments_before_it() -> None:
    told = read_lines(TYPED, 24)
    assert [(line.first, line.last, line.spec.prompt, line.source) for line in told.lines] == [
        (0, 0, "a red ball", "# the ball\n0: a red  ball\n"),
        (4, 5, "a hand", "\n# then\n4s-6s [cut]: a hand\n"),
        (6, 6, "it lets go", "it lets go\n# end"),
    ]
    assert (told.chunks, told.form) == (7, "text")
    assert told.notes == ("no line names chunks 1 to 3: chunk 0 goes on",)
    assert told.lines[1].json == {
        "first": 4,
        "last": 5,
        "prompt": "a hand",
        "transition": "cut",
        "source": "\n# then\n4s-6s [cut]: a hand\n",
    }


def test_an_edit_leaves_the_other_lines_as_they_were_typed() -> None:
    first, *rest = read_lines(TYPED, 24).lines
    changed = [replace(first, spec=ChunkSpec("a blue ball")), *rest]
    assert write_lines(changed, "text", 24) == TYPED.replace("a red  ball", "a blue ball")


def test_lines_get_numbers_only_where_they_need_them() -> None:
    first, hand, lets = read_lines(TYPED, 24).lines
    moved = [first, replace(hand, first=5, last=6), replace(lets, first=7, last=7)]
    assert write_lines(moved, "text", 24) == TYPED.replace("4s-6s", "5-6")
    apart = [first, hand, replace(lets, first=8, last=8)]
    assert write_lines(apart, "text", 24) == TYPED.replace("it lets go", "8: it lets go")


def test_a_place_in_seconds_is_kept_by_the_rate_it_was_read_with() -> None:
    text = "0: a\n2s-4s: b\n"
    told = read_lines(text, 12)
    assert (told.lines[1].first, told.lines[1].last) == (1, 1)
    assert write_lines(told.lines, "text", 12) == text
    assert write_lines(told.lines, "text", 24) == "0: a\n1: b\n"


def test_json_stays_json_and_keeps_its_entries() -> None:
    text = '{"chunks": [ {"at": "0-2",  "prompt": "x"},\n  "b" ] }'
    told = read_lines(text, 24)
    assert told.form == "json" and write_lines(told.lines, "json", 24) == text
    changed = [told.lines[0], replace(told.lines[1], spec=ChunkSpec("c", transition="cut"))]
    written = write_lines(changed, "json", 24)
    assert '{"at": "0-2",  "prompt": "x"}' in written
    assert '{"at": "3", "prompt": "c", "transition": "cut"}' in written


def test_every_fault_is_told_at_its_line() -> None:
    found = faults("0: a\n[foo]: b\n\n1 [reroll x]: c\n0: d\nno number", 24)
    assert [fault.line for fault in found] == [2, 4, 5]
    assert found[1].message == "[reroll x] needs whole numbers, not 'x'"
    assert found[2].message == "chunk 0 already has a prompt (line 1); one is possible"


def test_faults_of_json_are_told_at_the_line_of_their_entry() -> None:
    found = faults('{"chunks": [\n "a",\n 4,\n {"at": "1", "prompt": "c",\n "reroll": "2"}]}', 24)
    assert [fault.line for fault in found] == [3, 4]
    assert faults('[\n"a",\n"b"', 24)[0].line == 3
    assert "not valid" in faults('[\n"a",\n"b"', 24)[0].message


def test_what_is_wrong_with_the_whole_has_no_line() -> None:
    assert faults("", 24)[0].line is None
    assert faults("1: a", 24) == [
        Fault(None, "nothing says what happens in chunk 0; the first is chunk 1: add a line '0: ...'")
    ]
    assert len(faults("x" * 1_000_001, 24)) == 1
    assert faults("0: a", 24) == []


def test_a_source_that_is_not_what_was_typed_changes_nothing() -> None:
    """It comes from a page: another text, several lines, a line with nothing in it."""
    for source in ("0: b\n0: c\n", "1: a", "{", "#x", "\ufeff\ufeff#", "0: a\n3: b", "\x00", "a" * 100_000):
        told = read_lines(write_lines([Line(0, 0, ChunkSpec("a"), source)], "text", 24), 24)
        assert [(line.first, line.last, line.spec.prompt) for line in told.lines] == [(0, 0, "a")]


def test_a_source_of_half_a_million_lines_is_written_as_one_line() -> None:
    """What takes hours where every line is looked for in a list of all."""
    assert write_lines([Line(0, 0, ChunkSpec("red"), "a\n" * 500_000)], "text", 24) == "0: red\n"
