"""docs/nano.md lists what `nano.json` says the model knows, no more and no less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from magi_core.loading import ASSETS
from magi_core.story.storyboard import parse_storyboard
from tools.nano.text_model import UNKNOWN

PAGE = (Path(__file__).parents[2] / "docs" / "nano.md").read_text(encoding="utf-8")
VOCABULARY = json.loads((ASSETS / "nano" / "nano.json").read_text(encoding="utf-8"))["vocabulary"]


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


LISTS = [what for what in VOCABULARY if what not in ("words", "examples")]


@pytest.mark.parametrize("what", LISTS)
def test_lists_are_those_of_the_model(what):
    row = re.search(rf"\| {what}[^|]* \| (.*) \|", section("Words"))[1]
    assert re.sub(r" \(\w+\)", "", row).split(", ") == VOCABULARY[what]


def test_all_words_are_there():
    listed = section("All words").strip().split("\n\n")[0].replace("`", "").split()
    assert listed == VOCABULARY["words"]


def test_every_phrase_consists_of_known_words():
    tables = [
        line.split(" | ", 1)[1]
        for line in section("Words").splitlines()
        if re.match(r"\| (?!actions|weather|camera)\w", line)
    ]
    phrases = [phrase for line in tables for phrase in re.split(r"[,;|()]| as a change:", line) if phrase.strip()]
    story = parse_storyboard(section("How to direct it").split("```")[1]).prompts
    tokenizer = Tokenizer.from_file(str(ASSETS / "nano" / "t5" / "tokenizer.json"))
    headings = {"words", "say", "as a change"}
    for phrase in {phrase.strip() for phrase in [*phrases, *story]} - headings:
        assert UNKNOWN not in tokenizer.encode(phrase, add_special_tokens=False).tokens, phrase
