"""Prompts are cleaned whatever they hold."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from magi_core.text import clean_caption, prepare_caption


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60))
@example("<![x")  # the HTML parser refuses this
@example("half \ud83d an emoji")
@example("<b>" * 2000)
def test_any_text_can_be_cleaned_and_encoded(text: str) -> None:
    cleaned = prepare_caption(text)
    cleaned.encode()
    assert cleaned == cleaned.strip()


def test_two_halves_of_an_emoji_are_joined() -> None:
    assert clean_caption("\ud83d\ude00") == "\U0001f600"


def test_a_prompt_of_five_thousand_words_is_cleaned_whole() -> None:
    assert len(prepare_caption("Lorem ipsum " * 2500).split()) == 5000
