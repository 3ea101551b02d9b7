"""Cleaning in time that grows with the prompt, with the same result as the rules it comes from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi_core.errors import MagiError
from magi_core.text import cleaning
from magi_core.text.cleaning import MAX_PROMPT, clean_caption, prepare_caption
from tests.linear_time import grows_evenly

UNITS = [
    "a",
    "a.",
    "a-",
    " ",
    " . ",
    "1",
    "1x",
    "1.1x",
    "a1",
    "éx",
    "http:a",
    "a.com@",
    "a.com/",
    "<a>",
    "<b></b>",
    "</a>",
]
UNITS += [
    "&",
    "&#",
    "&#1",
    "&amp;",
    "&#38;",
    "%41",
    '"',
    "'a",
    "[",
    "worldwide ",
    "free ",
    "page 1",
    "click for ",
    "😀",
]
UNITS += [
    "Ã©",
    "â€",
    "…",
    "中",
    "e\u0301",
    "\n",
    "\t",
    "_",
    " : ",
    "@a",
    "1:11 ",
    "a1.b2-c3_d4 ",
    '<p class="x">',
    "<!--x-->",
]
AROUND = [("", ""), ("1", "é"), ("a1a", "_"), ("<a b='", "'>"), ("<!--", "-->"), ("<script>", "</script>")]

# The reference's rules, which try again wherever they can.
_DOMAIN = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
ORIGINALS = {
    "addresses": [rf"\b(?:{scheme}:(?:/{{1,3}}|[a-zA-Z0-9%])|{_DOMAIN})" for scheme in ("https?", "www")],
    "files": [r"\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"],
    "points": [r"\s+\.\s+"],
    "parts": [r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b"],
    "sizes": ["\\b\\d+\\.?\\d*[x\u0445\u00d7]\\d+\\.?\\d*\\b"],
}
PIECES = [
    "http",
    "https",
    "www",
    ":",
    "/",
    ".",
    "..",
    ".com",
    "com",
    "co",
    ".it",
    "@",
    "-",
    "_",
    "a",
    "x",
    "é",
    "ж",
    "1",
    "12",
]
PIECES += ["٣", " ", "  ", "\n", ".png", "png", ".mp4", "х", "×", "1.5", "2.", "%", "a1b2c", "3x4", ".x.com", "é.com"]


@pytest.mark.parametrize(("before", "after"), AROUND)
@pytest.mark.parametrize("unit", UNITS)
def test_cleaning_takes_time_in_proportion(unit, before, after):
    def clean(size: int) -> None:
        clean_caption(before + unit * (size // len(unit)) + after)

    assert not grows_evenly(clean, 3000, within=1)


@pytest.mark.parametrize("rule", ORIGINALS)
@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_every_rule_says_the_same_as_its_original(rule, text):
    replacement = " " if rule in ("points", "parts") else ""
    wanted, found = text, text
    for original in ORIGINALS[rule]:
        wanted = re.sub(original, replacement, wanted)
    if rule == "addresses":
        for scheme in cleaning._SCHEMES:
            found = cleaning._without_addresses(found, scheme)
    else:
        original, known = ORIGINALS[rule][0], [*cleaning._SYMBOLS, *cleaning._SHOP_TALK]
        (own,) = [pattern for pattern, _ in known if _related(pattern.pattern, original)]
        found = own.sub(replacement, found)
    assert found == wanted


def _related(rule: str, original: str) -> bool:
    """Whether a rule is the one made from `original`: they end alike and differ in the start or in one repetition."""
    simple = rule.replace(r"(?<!\S)", "").replace(r"(?<!\s)", "").replace(r"\d[a-zA-Z\d]*\b", r"\d+[a-zA-Z\d]*\b")
    return simple.replace(r"(?:\.\d*)?", r"\.?\d*") == original


@pytest.mark.parametrize("digits", ["9" * 5000, "0" * 5000 + "65"])
def test_endless_numbers_of_characters_are_no_stumbling_block(digits):
    clean_caption(f"a ball &#{digits}; rolls")
    clean_caption(f"a ball &#38;#{digits}a; rolls")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("a" * (MAX_PROMPT + 1), "a prompt has at most 50,000 characters"), ("<a " * 101, "at most 100 '<' without '>'")],
)
def test_what_cannot_be_cleaned_quickly_is_refused(prompt, message):
    with pytest.raises(MagiError, match=message) as caught:
        prepare_caption(prompt)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("opening", ["<a ", "<!--", "<?", "<p a=", "<style", "</"])
def test_the_most_unclosed_markup_that_is_read_is_read_quickly(opening):
    def clean(size: int) -> None:
        clean_caption(opening * cleaning.MAX_UNCLOSED + "x" * size)

    assert not grows_evenly(clean, 5000, within=2)
