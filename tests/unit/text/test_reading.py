"""Words that are lost between what is typed and what the model reads are told."""

from __future__ import annotations

import pytest

from magi_core.text.cleaning import prepare_caption
from magi_core.text.reading import lost_in_cleaning, unknown_words
from magi_core.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("一只猫 a cat", "'一只猫'"),
        ("C3PO walks", "'c3po'"),
        ("an A380 lands", "'a380'"),
        ("r2d2 rolls", "'r2d2'"),
        ("a (red:1.3) ball", "'(', ')'"),
        ("red | blue", "'|'"),
        ("free shipping to @anna", "'free', 'shipping'"),
        ("a sign [cut] here", "'[', ']'"),
    ],
)
def test_what_cleaning_takes_is_named_beside_what_the_model_reads(prompt, lost):
    caption = prepare_caption(prompt)
    note = lost_in_cleaning(prompt, caption)
    assert f"the model reads {caption!r}" in note and lost in note


@pytest.mark.parametrize(
    "prompt",
    ["A Red Ball, rolls... away!", "“quoted” – and  dashed", "it's ﬁne; really: yes", "a well-known man_made sea"],
)
def test_case_and_punctuation_are_not_missed(prompt):
    assert lost_in_cleaning(prompt, prepare_caption(prompt)) == ""


def test_words_without_a_token_are_named_once():
    tokenizer = Tokenizer(lambda text: [2 if letter > "z" else 5 for letter in text], end=1, size=9, unknown=2)
    assert tokenizer.unreadable(["cat", "кот", "кот"]) == ["кот"]
    assert unknown_words(["кот"]) == "the text encoder cannot read 'кот'" and unknown_words([]) == ""
    assert Tokenizer(tokenizer.pieces, 1, 9).unreadable(["кот"]) == []
