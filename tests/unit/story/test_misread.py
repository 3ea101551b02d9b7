"""Storyboards: what was meant as a place or a tag never becomes words of a prompt without a word."""

from __future__ import annotations

import json

import pytest

from magi_core.errors import MagiError
from magi_core.story.storyboard import ChunkSpec, Storyboard, parse_storyboard


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("1 [new_shot: b", r"a bracket is not closed: write '1 \[new_shot\]: "),
        ("1 [new_shot it turns blue", r"a bracket is not closed: write '1 \[new_shot\]: "),
        ("1: [new_shot] it turns blue", r"write '1 \[new_shot\]: it turns blue', or \\\[new_shot\] to have it"),
        ("1:[cut]b", r"write '1 \[cut\]: b'"),
        ("1 [reroll]: [cut] b", r"write '1 \[reroll\] \[cut\]: b'"),
        ("1: it turns [cut] blue", r"write '1 \[cut\]: it turns blue'"),
        ("1: it turns blue [New shot]", r"write '1 \[New shot\]: it turns blue'"),
        ("1: [reroll x] b", r"\[reroll x\] looks like a tag"),
        ("1: 【cut】 b", r"【cut】 looks like a tag.* write '1 \[cut\]: b'"),
        ("1: [cut b", r"\[cut looks like a tag.*write '1 \[cut\]: b'"),
        ("1 [cut] b", r"a colon goes between tags and prompt: write '1 \[cut\]: "),
        ("1 [cut] b: c", r"a colon goes between tags and prompt: write '1 \[cut\]: "),
        ("1 [wipe] b", r"\[wipe\] is no tag, or has no colon behind it: write '1 \[cut\]: "),
        ("1 【wipe】: b", r"unknown tag \[wipe\]"),
        ("【cut】 b", r"a colon goes between tags and prompt: write '\[cut\]: "),
        ("it turns blue [cut]: b", r"\[cut\] looks like a tag"),
        ("1 (cut): b", r"stand in square brackets: write '1 \[cut\]: "),
        ("1（cut）：b", r"stand in square brackets: write '1 \[cut\]: "),
        ("1 <reroll 2>: b", r"stand in square brackets: write '1 \[reroll 2\]: "),
        ("(new shot): b", r"stand in square brackets: write '\[new shot\]: "),
        ("1 cut: b", r"stands in brackets: write '1 \[cut\]: "),
        ("1 reroll 2: b", r"stands in brackets: write '1 \[reroll 2\]: "),
        ("chunk 1: b", "'chunk 1' is no place in the video: write '1: b'"),
        ("chunks 1-2: b", "write '1-2: b'"),
        ("1 to 2: b", "write '1-2: b'"),
        ("1sec-2sec: b", "write '1s-2s: b'"),
        ("second 1: b", "is no place"),
        ("1. b", r"1\. is no place in the video: write '1: b'"),
        ("1) b", r"1\) is no place in the video: write '1: b'"),
    ],
)
def test_what_was_meant_as_place_or_tag_is_one_error_with_its_line_and_the_right_form(line, right):
    with pytest.raises(MagiError, match=f"^line 2: .*{right}"):
        parse_storyboard(f"0: a\n{line}")


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("1：b", "1: b"),
        ("１: b", "1: b"),
        ("1—2：b", "1-2: b"),
        ("1～2：b", "1-2: b"),
        ("1ｓ－2s：b", "1s-2s: b"),
        ("1S-2S: b", "1s-2s: b"),
        ("1 【cut】: b", "1 [cut]: b"),
        ("1　［cut］［reroll 2］：b", "1 [cut] [reroll 2]: b"),
        ("1 【tokens hq，3d】：b", "1 [tokens hq, 3d]: b"),
        ("＃ a comment\n1: b", "1: b"),
    ],
)
def test_full_width_punctuation_is_read_as_what_it_is(line, plain):
    assert parse_storyboard(f"0: a\n{line}").chunks == parse_storyboard(f"0: a\n{plain}").chunks


def test_full_width_punctuation_stays_in_prompts():
    assert parse_storyboard("0: 他说：【你好】").prompts == ["他说：【你好】"]
    assert parse_storyboard("他说：你好").prompts == ["他说：你好"]


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        (r"0: \[cut] is on the sign", "[cut] is on the sign"),
        (r"\[cut] is on the sign", "[cut] is on the sign"),
        (r"0: a sign: \【cut】", "a sign: 【cut】"),
        (r"0: \\[cut] b", r"\[cut] b"),
        ("0: a sign [not here]", "a sign [not here]"),
        ("0: 1. b", "1. b"),
        ("0: chunk 1: b", "chunk 1: b"),
        ("Robot R-3: it walks", "Robot R-3: it walks"),
        ("3.5 mm of film", "3.5 mm of film"),
        ("5 red balls: they roll", "5 red balls: they roll"),
        ("the last cut: b", "the last cut: b"),
    ],
)
def test_words_that_are_meant_stay_words(line, prompt):
    board = parse_storyboard(line)
    assert board.prompts == [prompt]
    assert parse_storyboard(board.to_text()) == parse_storyboard(board.to_json()) == board


def test_tags_in_the_prompts_of_json_are_refused_and_quoted_the_same_way():
    with pytest.raises(MagiError, match=r"entry 2: \[cut\] looks like a tag"):
        parse_storyboard('["a", "[cut] b"]')
    assert parse_storyboard(json.dumps([r"\[cut] b"])).prompts == ["[cut] b"]


@pytest.mark.parametrize(
    "prompt", ["[cut] a", r"\[cut]", "[[cut]]", "【cut】【new_shot】", "[cut", r"\\[x] \ [cut]", "1. a"]
)
def test_prompts_of_any_kind_come_back(prompt):
    board = Storyboard((ChunkSpec(prompt), ChunkSpec("b")))
    assert parse_storyboard(board.to_text()) == parse_storyboard(board.to_json()) == board


def test_what_no_line_names_is_said():
    board = parse_storyboard("0: a\n100s-200s: b")
    assert len(board) == 200
    assert board.notes == ("no line names chunks 1 to 99: chunk 0 goes on",)
    assert parse_storyboard("0: a\n1: b").notes == ()


@pytest.mark.parametrize("line", ["1、一只猫", "１．一只猫", "1）一只猫"])
def test_numbered_lines_of_any_width_are_told_with_the_right_form(line):
    with pytest.raises(MagiError, match="is no place in the video: write '1: 一只猫'.*chunks count from 0"):
        parse_storyboard(f"0: a\n{line}")


@pytest.mark.parametrize("line", ["3, 2, 1, and the rocket lifts off", "1、2、3、木头人"])
def test_counting_is_no_numbered_line(line):
    assert parse_storyboard(line).prompts == [line]


def test_the_right_form_of_a_number_with_a_comma_is_one():
    with pytest.raises(MagiError, match=r"write '1 \[cut\]: \.\.\.'"):
        parse_storyboard("0: a\n1, cut: b")


@pytest.mark.parametrize(
    "text",
    [
        "\u202e0: a\n\u200f1 [cut]: b",
        "\u200b0\u200b: a\n1\u2060 [cut\u200b]: b",
        "0: a\n\u200b\n\ufeff1\u00ad [cut]: b\n \u200d# a comment",
        '[{"at": "\u200b0", "prompt": "a"}, {"at": "1\u200e", "transition": "cut", "prompt": "b"}]',
    ],
)
def test_what_nobody_sees_means_nothing_outside_a_prompt(text):
    assert parse_storyboard(text) == Storyboard((ChunkSpec("a"), ChunkSpec("b", transition="cut")))


def test_what_nobody_sees_stays_in_a_prompt():
    assert parse_storyboard("0: a\u200db").prompts == ["a\u200db"]
    with pytest.raises(MagiError, match=r"looks like a tag.*write '1 \[cut\]: b'"):
        parse_storyboard("0: a\n1: [\u200bcut] b")


@pytest.mark.parametrize(
    "line",
    [
        *("1m: b", "2s-1h: b", "60 ms-2s: b", ".5s: b", "24f: b", "frame 24: b", "minute 1: b", "第1秒: b"),
        *("- 1: b", "* 1: b", "• 1: b", "> 1: b", "+ 1: b", '"1": b', "**1**: b", "(1): b", "<1>: b"),
        *("0;1: b", "1 & 2: b", "1+2: b", "1/2: b", "①: b", "Ⅱ: b", "²: b", "cut 1: b", "「cut」 1: b"),
    ],
)
def test_a_number_among_signs_and_units_is_a_place_that_was_meant(line):
    with pytest.raises(MagiError, match="line 2: .* is no place in the video: write '3: "):
        parse_storyboard(f"0: a\n{line}")


@pytest.mark.parametrize("line", ["3D: a cat", "F1: a car", "M1: a tank", "R2D2: hi", "Room 101: a man", "50 mm: wide"])
def test_names_with_numbers_are_words(line):
    assert parse_storyboard(f"0: a\n{line}").prompts == ["a", line]
