"""Caption cleaning: the text normalisation MAGI-1's captions went through before the T5 tokenizer in training.

A model only knows prompts that look like its training captions, so the rules are reproduced exactly, oddities
included ("free download" vanishes, CJK ideographs are dropped). They come from the text path of DeepFloyd IF, which the
reference implementation took over unchanged; `tests/parity/test_text_parity.py` holds the expected results.
"""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_plus

from magi_core.errors import MagiError, echo

MAX_PROMPT = 50_000  # characters
MAX_UNCLOSED = 100  # "<" that no ">" follows; for each, the HTML parser looks through all that comes after

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


# Every rule below takes time in proportion to the text: where the original's would try again at every place of a run
# that has failed once, or could split a run in many ways, the rule says the same in a way that does not.
_SCHEMES = tuple(re.compile(rf"\b{scheme}:(?:/{{1,3}}|[a-zA-Z0-9%])") for scheme in ("https?", "www"))
_HOST = re.compile(r"[a-zA-Z0-9.\-]+")
_DOMAIN = re.compile(r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)")
_BOUNDARY = re.compile(r"\b")

_DASHES = (
    "\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d"
)
_FILE_TYPES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"

_SYMBOLS = _rules(
    (r"@[\w\d]+\b", ""),  # nicknames
    ("[\u31c0-\u9fff]+", ""),  # CJK strokes to unified ideographs, seven adjacent Unicode blocks
    (f"[{_DASHES}]+", "-"),
    ("[`´«»“”¨]", '"'),
    ("[‘’]", "'"),
    (r"&quot;?", ""),
    (r"&amp", ""),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),  # IP addresses
    (r"\d:\d\d\s+$", ""),  # clock time before trailing blanks
    (r"\\n", " "),  # a line break typed as backslash and n
    (r"#\d{1,3}\b", ""),  # numbering such as #12; four digits (a year) stay
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),  # article numbers
    (rf"(?<!\S)\S+\.(?:{_FILE_TYPES})", ""),
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " "),
    (r"(?<!\s)\s+\.\s+", " "),
)

_SHOP_TALK = _rules(
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),  # part numbers: jc6640, jc6640vc, 6640vc231
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{_FILE_TYPES})(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d[a-zA-Z\d]*\b", " "),
    # Sizes; by latin x, cyrillic kha or multiplication sign.
    ("\\b\\d+(?:\\.\\d*)?[x\u0445\u00d7]\\d+(?:\\.\\d*)?\\b", ""),
)

_SPACING = _rules(
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
)

# The reference trims blanks only after these, so a quote or dash behind a leading blank survives the first application.
_ENDS = _rules(
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)

_ENDLESS_REFERENCE = re.compile(r"&#([0-9]{1000,})")
_WORD_JOINERS = re.compile(r"[-_]")
_MAX_JOINERS = 3  # more than these and a caption is taken for a file name: this-is-my-cute-cat


def whole_letters(text: str) -> str:
    """`text` with half emoji joined, or replaced where the other half is missing."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_caption(caption: str) -> str:
    """`caption` after one application of the reference's cleaning: lower case, no markup, addresses or shop talk."""
    caption = unquote_plus(whole_letters(caption)).strip().lower()
    caption = caption.replace("<person>", "person")
    for scheme in _SCHEMES:
        caption = _without_addresses(caption, scheme)
    caption = _without_markup(caption)
    caption = _apply(_SYMBOLS, caption)
    if len(_WORD_JOINERS.findall(caption)) > _MAX_JOINERS:
        caption = _WORD_JOINERS.sub(" ", caption)
    caption = _unescaped(_unescaped(_fix_encoding(caption))).strip()
    for rules in (_SHOP_TALK, _SPACING, _ENDS):
        caption = _apply(rules, caption)
    return caption.strip()


@lru_cache(maxsize=4096)  # a prompt is asked for whenever an extend with it is planned
def prepare_caption(prompt: str) -> str:
    """What the tokenizer gets to see: the cleaning applied twice, as in training. May be empty.

    Raises `MagiError` for prompts of more than `MAX_PROMPT` characters.
    """
    check_prompt(prompt)
    return clean_caption(clean_caption(prompt))


def check_prompt(prompt: str) -> None:
    """Raise `MagiError` for a prompt that is longer than any model reads."""
    if len(prompt) > MAX_PROMPT:
        raise MagiError(
            f"a prompt has at most {MAX_PROMPT:,} characters (the model reads the first 3,000 or so), and this one has "
            f"{len(prompt):,}: {echo(prompt)}"
        )


def _apply(rules: Iterable[tuple[re.Pattern[str], str]], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _without_addresses(text: str, scheme: re.Pattern[str]) -> str:
    """`text` without starts of addresses (`scheme`) and without domains; the leftmost goes first, then a scheme."""
    kept, done = [], 0
    start, domain = scheme.search(text), _next_domain(text, 0)
    while found := min(filter(None, (start, domain)), key=re.Match.start, default=None):
        kept.append(text[done : found.start()])
        done = found.end()
        if start and start.start() < done:
            start = scheme.search(text, done)
        if domain and domain.start() < done:
            domain = _next_domain(text, done)
    return "".join([*kept, text[done:]])


def _next_domain(text: str, place: int) -> re.Match[str] | None:
    """The first match of a word boundary and `_DOMAIN` from `place` on.

    In a run of the letters that host names have, a match ends with the last name that can end one; if there is none
    for the first place where a match may begin, there is none for the later ones.
    """
    for run in _HOST.finditer(text, place):
        boundary = _BOUNDARY.search(text, *run.span())
        if boundary is not None and boundary.start() < run.end():
            found = _DOMAIN.match(text, boundary.start())
            if found is not None:
                return found
    return None


def _unescaped(text: str) -> str:
    return html.unescape(_with_short_references(text))


def _with_short_references(text: str) -> str:
    """`text` in which numbers of characters are short enough for Python; too long ones name no character anyway."""
    return _ENDLESS_REFERENCE.sub(lambda found: f"&#{found[1].lstrip('0')[:9] or '0'}", text)


def _without_markup(text: str) -> str:
    """Visible text of `text` read as HTML. Markup that the parser refuses (such as "<![x") is left standing."""
    unclosed = text.count("<", text.rfind(">") + 1)
    if unclosed > MAX_UNCLOSED:
        raise MagiError(f"a prompt has at most {MAX_UNCLOSED} '<' without '>', and this has {unclosed:,}: {echo(text)}")
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning
    from bs4.builder import ParserRejectedMarkup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)  # "cat.png" is a prompt here, not a file
        try:
            return BeautifulSoup(_with_short_references(text), features="html.parser").text
        except ParserRejectedMarkup:
            return text


def _fix_encoding(text: str) -> str:
    """`text` with mis-decoded characters, ligatures and odd widths repaired."""
    import ftfy

    return ftfy.fix_text(text)
