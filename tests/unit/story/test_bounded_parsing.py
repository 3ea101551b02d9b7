"""Hostile storyboards: read in time that grows with their length, or refused in few words."""

from __future__ import annotations

import pytest

from magi_core.config import MAX_CHUNKS
from magi_core.errors import ECHO_LIMIT, MagiError
from magi_core.story.storyboard import MAX_CHARACTERS, Storyboard, parse_storyboard
from magi_core.text.cleaning import MAX_PROMPT
from tests.linear_time import grows_evenly

HOSTILE = {
    "spaces in a place": lambda n: "0" + " " * n + "-: a",
    "dashes": lambda n: "0" + "-" * n + ": a",
    "numbers and dashes": lambda n: "0-" * n + ": a",
    "numbers and spaces": lambda n: "0 " * n + "-x: a",
    "digits": lambda n: "9" * n + ": a",
    "digits of other scripts": lambda n: "٣" * n + ": a",
    "points": lambda n: "0" + "." * n + ": a",
    "seconds": lambda n: "0" + "s" * n + ": a",
    "tags": lambda n: "0 " + "[x] " * n + ": a",
    "tags that say one thing": lambda n: "0 " + "[cut]" * n + ": a",
    "open brackets": lambda n: "[" * n + ": a",
    "open brackets before a colon": lambda n: "0 " + "[" * n + ": a",
    "brackets closed once": lambda n: "0 " + "[" * n + "]: a",
    "spaces in a tag": lambda n: "0 [cut" + " " * n + "]: a",
    "numbers in a tag": lambda n: "0 [ranges " + "1," * n + "]: a",
    "spaces between tags": lambda n: "0 [cut]" + " " * n + "x: a",
    "backslashes": lambda n: "0: " + "\\" * n,
    "escaped brackets": lambda n: "0: " + "\\[cut]" * (n // 6),
    "brackets in a prompt": lambda n: "0: " + "[" * n,
    "brackets with words in a prompt": lambda n: "0: " + "[a " * n,
    "full-width brackets": lambda n: "0 " + "【" * n + "：a",
    "spaces before a bracket": lambda n: "0" + " " * n + "[cut b",
    "spaces between words for a place": lambda n: "chunk" + " " * n + "1" + " " * n + ": a",
    "a list without an end": lambda n: "1" * n + ") a",
    "other brackets": lambda n: "0 " + "(" * n + "cut): a",
    "colons": lambda n: ":" * n,
    "blank lines": lambda n: "\n" * n + "a",
    "comments": lambda n: "#\n" * n + "a",
    "lines": lambda n: "a\n" * (n // 2),
    "one line for many chunks": lambda n: f"0-{n // 2}: a b",
    "one long prompt for many chunks": lambda n: f"0-{n // 2}: " + "a " * (n // 8),
    "lists of lists": lambda n: "[" * n,
    "objects in objects": lambda n: '{"a":' * n,
    "a text that does not end": lambda n: '["' + '\\"' * n,
    "spaces in JSON": lambda n: "[" + " " * n + "x",
    "a long number": lambda n: '["a", ' + "9" * n + "]",
    "unknown keys": lambda n: "{" + ",".join(f'"{k}": 1' for k in range(n // 8)) + "}",
    "a place in JSON": lambda n: '[{"at": "0' + " " * n + '-", "prompt": "a"}]',
    "ranges in JSON": lambda n: '[{"prompt": "a", "ranges": [' + "0," * n + "0]}]",
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_parsing_takes_time_in_proportion(shape):
    def parse(size: int) -> None:
        try:
            board = parse_storyboard(HOSTILE[shape](size))
            board.lines, board.to_text()
        except MagiError:
            pass

    assert not grows_evenly(parse, 20_000, within=3)


@pytest.mark.parametrize("shape", HOSTILE)
def test_what_is_refused_is_not_repeated_at_length(shape):
    text = HOSTILE[shape](4000)
    try:
        parse_storyboard(text)
    except MagiError as error:
        assert len(str(error)) < 3 * ECHO_LIMIT + 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * (MAX_CHARACTERS + 1), f"at most {MAX_CHARACTERS:,} characters"),
        ("0: " + "a" * (MAX_PROMPT + 1), f"line 1: a prompt has at most {MAX_PROMPT:,} characters"),
        ('["' + "a" * (MAX_PROMPT + 1) + '"]', "entry 1: a prompt has at most"),
        (f"0-{MAX_CHUNKS}: a", "too far out"),
        ("0 [ranges " + "1," * 500 + "1]: a", "a tag has at most 150 characters"),
        ("0" * 13 + ": a", "is no place in the video"),
        ('{"chunks": ' + "[" * 3000, "nested more than 48 levels deep"),
        ('[{"prompt": "x", "reroll": ' + "9" * 5000 + "}]", "a whole number of 5000 digits"),
        ('[{"prompt": "x", "reroll": 1e999}]', "not finite"),
        ('[{"prompt": "x", "reroll": NaN}]', "not finite"),
    ],
)
def test_lengths_are_bounded(text, message):
    with pytest.raises(MagiError, match=message):
        parse_storyboard(text)


def test_the_longest_storyboard_is_still_quick_to_use():
    board = parse_storyboard(f"0-{MAX_CHUNKS - 1}: " + "a b " * (MAX_PROMPT // 4 - 1))
    assert board.lines == [(0, MAX_CHUNKS - 1, board.chunks[0])]
    assert len({id(chunk) for chunk in board.chunks}) == 2, "one line is few objects, however many chunks it names"


@pytest.mark.parametrize("place", ["3", "0-2", "0 – 2", "4s", "4s-6s", "2 s", "  0-1", "0.5"])
@pytest.mark.parametrize("tags", ["", "[cut]", " [new_shot]  [reroll 2] "])
def test_places_and_tags_may_stand_as_loosely_as_before(place, tags):
    text = f"0: z\n{place}{tags}: b" if not place.strip().startswith("0") else f"{place}{tags}: b"
    try:
        board = parse_storyboard(text, fps=24)
    except MagiError as error:
        assert place == "0.5" and "whole numbers" in str(error)
    else:
        assert board.chunks[-1].prompt == "b" and parse_storyboard(board.to_text()) == board


def test_runs_of_different_lines_stay_apart():
    board = parse_storyboard("0-2: a\n3 [cut]: a\n4-5: b\n9: b")
    assert [(first, last) for first, last, _ in board.lines] == [(0, 2), (3, 3), (4, 9)]
    assert parse_storyboard(board.to_text()) == board
    assert isinstance(board, Storyboard)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_rate_that_cannot_be_is_refused_in_words(fps):
    with pytest.raises(MagiError, match="frames per second must be"):
        parse_storyboard("4s: a", fps=fps)
