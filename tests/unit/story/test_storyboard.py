"""Storyboards: what is typed is what happens, and what cannot be meant is refused with its line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi_core.errors import MagiError
from magi_core.story.chunk import TOKENS
from magi_core.story.storyboard import ChunkSpec, Storyboard, parse_storyboard
from magi_core.story.transitions import TRANSITIONS

PROMPT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
CHUNK = st.builds(
    ChunkSpec,
    st.sampled_from(["a", "b", ""]) | PROMPT,
    st.sampled_from([0, 0, 1]) | st.integers(-(10**9), 10**9),
    st.sampled_from(TRANSITIONS),
    special_tokens=st.none() | st.lists(st.sampled_from(TOKENS), unique=True).map(tuple),
) | st.builds(
    ChunkSpec,
    PROMPT,
    kv_ranges=st.lists(st.integers(1, 99), min_size=1, max_size=8).map(tuple),
    echo=st.booleans(),
)


def prompts(text: str, **options: object) -> list[str]:
    return parse_storyboard(text, **options).prompts


def test_text_form_reads_ranges_single_chunks_seconds_and_plain_lines():
    text = """# a comment

    0-2: a red ball rolls
    3: it stops
    4s-6s: a hand picks it up
    the camera pulls back
    """
    assert prompts(text) == [
        *["a red ball rolls"] * 3,
        "it stops",
        *["a hand picks it up"] * 2,
        "the camera pulls back",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\nc", ["a", "b", "c"]),
        ("0: a\n3: b", ["a", "a", "a", "b"]),
        ("2: c\n0-1: a", ["a", "a", "c"]),
        ("0–1: a", ["a", "a"]),
        ("0 - 1 : a", ["a", "a"]),
        ("0s: a\n1s-2s: b", ["a", "b"]),
        ("0.0s - 2.0 s: a", ["a", "a"]),
        ("0: a\n1:", ["a", ""]),
        ("0:a", ["a"]),
        ("0: at 10:30: a bell", ["at 10:30: a bell"]),
        ("Robot R-3: it walks", ["Robot R-3: it walks"]),
        ("a #1 fan", ["a #1 fan"]),
        ("0: [not a tag] a sign", ["[not a tag] a sign"]),
        ("0: #tag", ["#tag"]),
        ("\ufeff0: a\r\n1: b\r\n", ["a", "b"]),
        (": a colon first", [": a colon first"]),
        ("5 red balls roll", ["5 red balls roll"]),
    ],
)
def test_text_form(text, expected):
    assert prompts(text) == expected


def test_seconds_follow_the_frame_rate():
    assert prompts("0s-2s: a\n2s: b", fps=12) == ["a", "b"]
    assert prompts("0s-2s: a", fps=48) == ["a"] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no prompts"),
        ("# only a comment", "no prompts"),
        ("1: a", r"chunk 0.*first is chunk 1.*'0: \.\.\.'"),
        ("0-2: a\n\n2: b", r"line 3: chunk 2 already has a prompt \(line 1\)"),
        ("0: a\n0: b", "line 2: chunk 0 already"),
        ("0: a\n5-3: b", "line 2: '5-3' runs backwards: write '3-5'"),
        ("0: a\n6s-4s: b", "write '4s-6s'"),
        ("0: a\n-1: b", "line 2: '-1' is no place.*'0-2"),
        ("0: a\n1-: b", "line 2: '1-' is no place"),
        ("0: a\n1-2-3: b", "line 2: .* is no place"),
        ("0: a\n1,5: b", "line 2: '1,5' is no place"),
        ("0: a\n1.5: b", r"line 2: chunks are whole numbers: '1\.5'.*'1\.5s'"),
        ("0s-1.5s: a", "whole chunks of 1s: 1.5s -> use 1s or 2s"),
        ("0: a\n1-2s: b", "mixes chunks and seconds"),
        ("0: a\n1s-1s: b", "ends where it starts"),
        ("0-999999999999: a", "too far out"),
        ("0: a\n3 [wipe]: b", r"line 2: unknown tag \[wipe\]; known are .*\[new_shot\].*\[reroll 2\].*'0: \[\.\.\.'"),
        ("0: a\n3[cut] [seed+1]: b", r"line 2: unknown tag \[seed\+1\]"),
        ("0: a\n[wipe]: b", r"line 2: unknown tag \[wipe\]"),
        ("0: a\n[wipe] b", r"line 2: unknown tag \[wipe\]"),
        ("0: a\n[wipe b", r"line 2: unknown tag \[wipe b"),
        ("0: a\n[cut] b", r"line 2: a colon goes between tags and prompt: write '\[cut\]: \.\.\.'"),
        ("0: a\n1 []: b", r"line 2: unknown tag \[\]"),
        ("0: a\n1 [cut] [restyle]: b", r"line 2: \[restyle\] says again"),
        ("0: a\n1 [cut] [ranges 1,2]: b", "line 2: 'cut' sets the KV ranges .* not both"),
        ("0: a\n1 [ranges 1,0]: b", "line 2: KV ranges count the chunk itself"),
        ("0: a\n1 [ranges 1,x]: b", r"line 2: \[ranges 1,x\] needs whole numbers, not 'x'"),
        ("0: a\n1 [reroll 1.5]: b", "line 2: .*needs whole numbers, not '1.5'"),
        ("0: a\n1 [reroll 9999999999]: b", "line 2: a reroll is a whole number of at most"),
        ("0: a\n1 [tokens shiny]: b", "line 2: there is no special token 'shiny'; known are .*HQ.*anime"),
        ("0: a\n1 [tokens DURATION_3]: b", "line 2: DURATION_3 is no tag: duration follows from the length"),
        ("0: a\n10:30 in the morning", r"line 2: is '10:30' a time.*'0: 10:30 in the morning'"),
    ],
)
def test_bad_text_is_refused_with_its_line(text, message):
    with pytest.raises(MagiError, match=message):
        parse_storyboard(text)


def test_json_form_means_the_same_as_the_text_form():
    content = {"chunks": [{"at": "0-2", "prompt": "a"}, {"at": 3, "prompt": "b"}, "c", {"at": "5s-7s", "prompt": "d"}]}
    assert prompts(json.dumps(content)) == prompts("0-2: a\n3: b\nc\n5s-7s: d")
    assert prompts('["a", {"prompt": "b"}]') == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"chunks": [\n"a",\n}', "line 3: .*not valid"),
        ('{"scenes": []}', "unknown 'scenes'"),
        ('{"chunks": 3}', "a storyboard in JSON is"),
        ('{"chunks": []}', "no prompts"),
        ('{"chunks": ["a", 3]}', "entry 2: must be a prompt"),
        ('{"chunks": ["a", {"at": 1}]}', "entry 2: must be a prompt"),
        ('{"chunks": [{"at": 0, "prompt": "a", "seed": 1}]}', "entry 1: unknown 'seed'"),
        ('{"chunks": [{"at": true, "prompt": "a"}]}', 'entry 1: "at" must be'),
        ('{"chunks": [{"at": -1, "prompt": "a"}]}', "entry 1: '-1' is no place"),
        ('{"chunks": [{"at": "x", "prompt": "a"}]}', "entry 1: 'x' is no place"),
        ('{"chunks": [{"at": "0 [cut]", "prompt": "a"}]}', r'entry 1: "at" is a place alone; \[cut\] .*"transition"'),
        ('{"chunks": [{"prompt": "a", "transition": "wipe"}]}', "entry 1: unknown transition 'wipe': use continue, "),
        ('{"chunks": ["a", {"prompt": "b", "ranges": 3}]}', 'entry 2: "ranges" must be a list: 3'),
        ('{"chunks": ["a", {"prompt": "b", "ranges": [true]}]}', "entry 2: KV ranges count"),
        ('{"chunks": [{"prompt": "a", "reroll": "2"}]}', "entry 1: a reroll is a whole number"),
        ('{"chunks": [{"prompt": "a", "tokens": ["x"]}]}', "entry 1: there is no special token 'x'"),
        ('{"chunks": [{"at": "0-2", "prompt": "a"}, {"at": 1, "prompt": "b"}]}', r"entry 2: chunk 1 .*\(entry 1\)"),
    ],
)
def test_bad_json_is_refused_with_its_place(text, message):
    with pytest.raises(MagiError, match=message):
        parse_storyboard(text)


@given(st.lists(PROMPT, min_size=1, max_size=12))
def test_both_forms_give_the_same_storyboard_back(lines):
    board = Storyboard.of(lines)
    assert parse_storyboard(board.to_json()) == board
    assert parse_storyboard(board.to_text()) == board


@given(st.text(max_size=80))
def test_any_text_is_a_storyboard_or_a_clear_error(text):
    try:
        board = parse_storyboard(text)
    except MagiError:
        return
    assert len(board) >= 1


def test_equal_neighbours_are_written_as_one_range():
    assert Storyboard.of(["a", "a", "b"]).to_text() == "0-1: a\n2: b\n"


def test_another_length_cuts_or_holds_the_last_prompt():
    board = Storyboard.of(["a", "b"])
    assert board.of_length(1).prompts == ["a"]
    assert board.of_length(4).prompts == ["a", "b", "b", "b"]


def chunks(text: str) -> tuple[ChunkSpec, ...]:
    return parse_storyboard(text).chunks


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("0 [cut]: a", {"transition": "cut"}),
        ("0[CUT]:a", {"transition": "cut"}),
        ("0 [New shot] [reroll]: a", {"transition": "new_shot", "seed_offset": 1}),
        ("0 [restyle] [reroll -2]: a", {"transition": "restyle", "seed_offset": -2}),
        ("0 [ranges 1,1,3,2]: a", {"kv_ranges": (1, 1, 3, 2)}),
        ("0 [ranges 2 1]: a", {"kv_ranges": (2, 1)}),
        ("0 [Echo]: a", {"echo": True}),
        ("0 [tokens HQ, THREE_D_MODEL]: a", {"special_tokens": ("HQ", "THREE_D_MODEL")}),
        ("0 [tokens hq 3d 2d anime]: a", {"special_tokens": ("HQ", "THREE_D_MODEL", "TWO_D_ANIME")}),
        ("0 [tokens static, Dynamic]: a", {"special_tokens": ("STATIC_FIRST_FRAMES", "DYNAMIC_FIRST_FRAMES")}),
        ("0 [tokens none]: a", {"special_tokens": ()}),
        ("[cut]: a", {"transition": "cut"}),
        ("0s-1s [continue]: a", {}),
    ],
)
def test_tags_direct_their_chunk(line, fields):
    assert chunks(line) == (ChunkSpec("a", **fields),)


def test_a_transition_is_for_the_first_chunk_of_a_line_and_other_tags_are_for_all():
    cut, on = ChunkSpec("a", 2, "cut", special_tokens=("HQ",)), ChunkSpec("a", 2, special_tokens=("HQ",))
    assert chunks("0-2 [cut] [reroll 2] [tokens hq]: a") == (cut, on, on)
    assert chunks("0-1 [ranges 2,1]: a") == (ChunkSpec("a", kv_ranges=(2, 1)),) * 2


def test_chunks_without_a_line_keep_prompt_and_tokens_only():
    board = parse_storyboard("0 [ranges 1] [tokens hq]: a\n2 [cut] [reroll 3]: b")
    assert board.chunks[1] == ChunkSpec("a", special_tokens=("HQ",))
    assert board.of_length(4).chunks[3] == ChunkSpec("b")


def test_tags_are_written_as_they_are_meant():
    board = parse_storyboard("0-1 [cut] [tokens none]: a\n2 [cut] [tokens none]: a\n3 [reroll 2] [ranges 1 2]: b\n4: b")
    assert board.to_text() == (
        "0-1 [cut] [tokens none]: a\n2 [cut] [tokens none]: a\n3 [reroll 2] [ranges 1,2]: b\n4: b\n"
    )
    first, *_, third, fourth = json.loads(board.to_json())["chunks"]
    assert first == {"at": "0-1", "prompt": "a", "transition": "cut", "tokens": []}
    assert third == {"at": "3", "prompt": "b", "reroll": 2, "ranges": [1, 2]} and fourth == {"at": "4", "prompt": "b"}


@given(st.lists(CHUNK, min_size=1, max_size=10))
def test_directed_storyboards_come_back_from_both_forms(directed):
    board = Storyboard(tuple(directed))
    assert parse_storyboard(board.to_text()) == board
    assert parse_storyboard(board.to_json()) == board
