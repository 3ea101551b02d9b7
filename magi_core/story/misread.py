"""What is typed as a place or a tag and stands where it would be read as words: found, and told with the right form.

Full-width punctuation means what the plain one means. What is not seen (zero-width spaces, marks of direction, as pages
and word processors leave them) means nothing outside a prompt. In a prompt, `\\[` is a bracket that is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from magi_core.errors import MagiError, echo
from magi_core.story.chunk import MAX_TAG, is_tag

_PLAIN = str.maketrans(
    {chr(0xFF10 + digit): str(digit) for digit in range(10)}
    | dict.fromkeys("：﹕︓", ":")
    | dict.fromkeys("【［〔﹝〖", "[")
    | dict.fromkeys("】］〕﹞〗", "]")
    | dict.fromkeys("－﹣−‐‑‒–—―~～〜", "-")
    | dict.fromkeys("，﹐、", ",")
    | {"．": ".", "ｓ": "s", "Ｓ": "S", "＃": "#", "（": "(", "）": ")", "＋": "+"}
)
_COLON = re.compile("[:：﹕︓]")
_OPEN = r"\[【［〔﹝〖"
_ESCAPES = re.compile(rf"(?<!\\)\\(?=\\*[{_OPEN}])")  # the first of a run of backslashes before a bracket
_BRACKET = re.compile(rf"(?<![\\\[])\[([^\[\]]{{1,{MAX_TAG}}})(\]?)")
_UNCLOSED = re.compile(r"\s*(new[\s_-]*shot|restyle|cut|echo|reroll|ranges|strength|tokens)\b", re.IGNORECASE)
_OTHER_BRACKETS = re.compile(rf"[({{<「『《〈]([^()\[\]{{}}<>」』》〉:]{{1,{MAX_TAG}}})[)}}>」』》〉\]]")
_UNIT = r"(?:s|secs?|seconds?|秒)"
_NUMBER = rf"\d{{1,12}}(?:\.\d{{1,12}})?\s{{0,9}}{_UNIT}?"
_PLACE = re.compile(
    rf"(?:(?:chunks?|seconds?|secs?|#)\s{{0,9}})?{_NUMBER}(?:\s{{0,9}}(?:-|to|until|->|→|…)\s{{0,9}}{_NUMBER})?",
    re.IGNORECASE,
)
# Words that stand in places and tags and nowhere else at the start of a line; with a number they are no prompt.
_WORDS = re.compile(r"(?:chunk|second|sec|min|minute|hour|frame)s?|to|until|and|[第秒分块到至和]+", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_SHORT_UNIT = re.compile(r"(?<=\d)\s{0,9}(?:ms|[smhf])(?![^\W_])", re.IGNORECASE)
_LISTED = re.compile(r"(\d{1,12})(?:[)）]|\.(?=\s)|[．、](?!\d))\s{0,9}(?=\S)")  # not "3, 2, 1, go"


def plain(text: str) -> str:
    """`text` with full-width digits and punctuation as plain ones, letter for letter: for heads of lines."""
    return text.translate(_PLAIN)


def visible(text: str) -> str:
    """`text` without letters that nobody sees: for what is read as places and tags, never for prompts."""
    if text.isascii():
        return text
    return "".join(letter for letter in text if unicodedata.category(letter) != "Cf")


def split_at_colon(line: str) -> tuple[str, str, str]:
    """`line.partition(":")`, for a colon of any width."""
    found = _COLON.search(line)
    return (line, "", "") if found is None else (line[: found.start()], ":", line[found.end() :])


def spoken(prompt: str) -> str:
    """The words of a prompt as typed: `\\[` is a bracket that is meant, and stands for `[`."""
    return _ESCAPES.sub("", prompt)


def typed(prompt: str) -> str:
    """A prompt so typed that `spoken` gives it back, and no bracket in it is taken for a tag."""
    prompt, done, parts = _ESCAPES.sub(r"\\\\", prompt), 0, []
    for place, _ in _tags_in(prompt):
        parts += [prompt[done:place], "\\"]
        done = place
    return "".join([*parts, prompt[done:]])


def check_words(prompt: str, head: str = "") -> None:
    """Raise `MagiError` for a tag among the words of a prompt. head: what stands before its colon, plain."""
    for place, tag in _tags_in(prompt):
        rest = f"{prompt[:place].strip()} {prompt[place + len(tag) :].strip()}".strip(" ]】］〕﹞")
        right = f"{head or '3'} {_closed(tag)}: {rest}"
        raise MagiError(
            f"{echo(tag, quoted=False)} looks like a tag, and tags stand before the colon: write {echo(right)}, or "
            f"{echo(chr(92) + tag, quoted=False)} to have it among the words"
        )


def check_line(line: str) -> None:
    """Raise `MagiError` for a line whose start is no place with tags, as it should be, but was meant to be one."""
    text = plain(line).strip()
    head, colon, _ = split_at_colon(text)
    number = re.match(r"[\d\s.,s-]{0,60}", text)
    place = number[0].strip(" ,.-") if number and text[:1].isdecimal() else ""
    after, prompt = text[number.end() :] if number and place else text, line[line.find(":") + 1 :].strip()
    if place and after.startswith("["):
        raise _brackets_wrong(place, after)
    other = _OTHER_BRACKETS.match(after)
    if other and is_tag(other[1]) and (place or after[other.end() :].lstrip().startswith(":")):
        raise _form(f"{other[0]} is no tag: those stand in square brackets", f"{place} [{other[1].strip()}]: ...")
    bare = head[len(number[0]) if number and place else 0 :].strip()
    if colon and bare and is_tag(bare):
        raise _form(f"{bare} is a tag where it stands in brackets", f"{place} [{bare}]: ...")
    if colon and len(head) < 80 and _PLACE.fullmatch(head.strip()):
        numbers = re.findall(r"\d{1,12}(?:\.\d{1,12})?", head)
        unit = "s" if re.search(r"\bs|\ds|秒", head, re.IGNORECASE) else ""
        right = "-".join(f"{number}{unit}" for number in numbers)
        raise _form(f"{echo(head.strip())} is no place in the video", f"{right}: {prompt}")
    if colon and _says_where(head):
        raise MagiError(
            f"{echo(head.strip())} is no place in the video: write '3: ...', '0-2: ...' or in seconds '4s-6s: ...'. "
            "Words that start like this need a chunk's number in front"
        )
    if listed := _LISTED.match(line.strip()):
        right = f"{plain(listed[1])}: {line.strip()[listed.end() :]}"
        raise MagiError(f"{_form(f'{listed[0].strip()} is no place in the video', right)}; chunks count from 0")


def _says_where(head: str) -> bool:
    """Whether what stands before a colon has a number, and no word that is not one of places and tags."""
    if len(head) >= 80 or not any(unicodedata.numeric(letter, None) is not None for letter in head):
        return False
    words = (word for word in _WORD.findall(_SHORT_UNIT.sub(" ", head)) if word.isalpha())
    return all(_WORDS.fullmatch(word) or is_tag(word) for word in words)


def _brackets_wrong(place: str, after: str) -> MagiError:
    """What to say of a line with a number and a bracket after it that is no line with tags."""
    content = _BRACKET.match(after)
    if content is None or not content[2]:
        name = after[1:].partition(":")[0]
        name = name if is_tag(name) else (found[0].strip() if (found := _UNCLOSED.match(after, 1)) else "cut")
        return _form("a bracket is not closed", f"{place} [{name.strip()}]: ...")
    tags = content[0]
    if not is_tag(content[1]):
        return _form(f"{echo(tags, quoted=False)} is no tag, or has no colon behind it", f"{place} [cut]: ...")
    return _form("a colon goes between tags and prompt", f"{place} {tags}: ...")


def _form(what: str, right: str) -> MagiError:
    return MagiError(f"{what}: write {echo(right.strip())}. Words that start like this need a chunk's number in front")


def _tags_in(prompt: str) -> Iterator[tuple[int, str]]:
    """Where in a prompt a tag stands, and the tag as it is typed; one that is not closed ends with its name."""
    same = plain(prompt)
    for found in _BRACKET.finditer(same):
        if found[2] and is_tag(visible(found[1])):
            yield found.start(), prompt[found.start() : found.end()]
        elif not found[2] and (name := _UNCLOSED.match(found[1])):
            yield found.start(), prompt[found.start() : found.start(1) + name.end()]


def _closed(tag: str) -> str:
    return "[" + visible(plain(tag)).strip("[] ") + "]"
