"""What happens in each chunk, as text to type or as JSON with the same meaning.

    # Chunks count from 0; a chunk is 24 frames, 1 second at 24 fps. This line is a comment.
    0-2: a red ball rolls along a table
    3: it stops
    4s-6s: a hand picks it up
    the camera pulls back

Here chunks 0, 1 and 2 share a prompt, chunk 3 has its own, from second 4 to second 6 are chunks 4 and 5, and a line
without a number is the chunk after the line above: 6.

Lines may come in any order. Chunks that no line names keep the prompt of the chunk before. A prompt may be empty
(`3:`): the chunk follows what came before. As JSON: `{"chunks": [{"at": "0-2", "prompt": "..."}, "..."]}`.
Between number and colon, and at the start of a line, `[words]` are reserved; none has a meaning yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError

MAX_CHUNKS = 100_000  # more than a day of video: certainly a typing error

_PLACE = re.compile(r"\s*(?P<place>[-–+]?\d[\d\s.,s–-]*)?(?P<tags>(?:\[[^\]]*\]\s*)*)\s*$")
_RANGE = re.compile(r"(?P<first>[^–-]+?)\s*(?:[–-]\s*(?P<last>[^–-]+?))?\s*$")
_NUMBER = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*(s?)$")
_ALLOWED = "write '3: ...', '0-2: ...' or in seconds '4s-6s: ...'"


@dataclass(frozen=True)
class StoryChunk:
    """What happens in one chunk. Runs of white space in the prompt count as one space."""

    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", " ".join(self.prompt.split()))


@dataclass(frozen=True)
class Storyboard:
    """One entry per chunk, from chunk 0 on."""

    chunks: tuple[StoryChunk, ...]

    @classmethod
    def of(cls, prompts: Iterable[str]) -> Storyboard:
        """One prompt per chunk."""
        return cls(tuple(StoryChunk(prompt) for prompt in prompts))

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def prompts(self) -> list[str]:
        return [chunk.prompt for chunk in self.chunks]

    @property
    def ranges(self) -> list[tuple[int, int, str]]:
        """(first chunk, last chunk, prompt) of every run of equal prompts."""
        runs, start = [], 0
        for chunk, group in groupby(self.chunks):
            length = len(list(group))
            runs.append((start, start + length - 1, chunk.prompt))
            start += length
        return runs

    def of_length(self, chunks: int) -> Storyboard:
        """Cut to `chunks`, or held: the last prompt goes on."""
        return Storyboard((self.chunks + self.chunks[-1:] * (chunks - len(self)))[:chunks])

    def to_text(self) -> str:
        """The text form; `parse_storyboard` gives the same storyboard back."""
        return "".join(f"{_place(first, last)}: {prompt}".rstrip() + "\n" for first, last, prompt in self.ranges)

    def to_json(self) -> str:
        """The JSON form; `parse_storyboard` gives the same storyboard back."""
        entries = [{"at": _place(first, last), "prompt": prompt} for first, last, prompt in self.ranges]
        return json.dumps({"chunks": entries}, ensure_ascii=False, indent=2) + "\n"


def parse_storyboard(text: str, *, fps: float | Fraction = 24) -> Storyboard:
    """A storyboard from its text or JSON form (see the module's description).

    fps: of the finished video; a chunk lasts 24 / fps seconds. Raises `MagiError`, with the line or entry, for ranges
    that overlap, run backwards or are no numbers, seconds that are not whole chunks, a missing chunk 0, no line at all.
    """
    text = text.removeprefix("\ufeff")
    chunk_seconds = VIDEO_FRAMES_PER_CHUNK / Fraction(fps)
    entries = _json_entries(text) if _is_json(text) else _text_entries(text)
    taken: dict[int, tuple[str, str]] = {}  # chunk -> (where, prompt)
    following = 0
    for where, place, prompt in entries:
        first, last = (following, following) if place is None else _chunks(place, where, chunk_seconds)
        if last >= MAX_CHUNKS:
            raise MagiError(f"{where}: chunk {last} is too far out; at most {MAX_CHUNKS} chunks are possible")
        for chunk in range(first, last + 1):
            if chunk in taken:
                raise MagiError(f"{where}: chunk {chunk} already has a prompt ({taken[chunk][0]}); one is possible")
            taken[chunk] = (where, prompt)
        following = last + 1
    if not taken:
        raise MagiError(f"the storyboard has no prompts: {_ALLOWED}, or one prompt per line")
    if 0 not in taken:
        raise MagiError(f"nothing says what happens in chunk 0; the first is chunk {min(taken)}: add a line '0: ...'")
    prompts: list[str] = []
    for chunk in range(max(taken) + 1):
        prompts.append(taken[chunk][1] if chunk in taken else prompts[-1])
    return Storyboard.of(prompts)


Entry = tuple[str, "str | None", str]
"""Where it stands ("line 3"), its place ("0-2") or None for the next chunk, its prompt."""


def _text_entries(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield _line_entry(line, f"line {number}")


def _line_entry(line: str, where: str) -> Entry:
    head, colon, prompt = line.partition(":")
    match = _PLACE.match(head) if colon else None
    if match is None or not head.strip():
        if line.lstrip().startswith("["):
            raise _unknown_tag(line.lstrip().split("]")[0] + "]", where)
        return where, None, line
    if prompt[:1].isdigit():
        raise MagiError(
            f"{where}: is '{head.strip()}:{prompt.split()[0]}' a time or a chunk with its prompt? Write "
            f"'{head.strip()}: {prompt}', or put the number of the chunk in front: '0: {line.strip()}'"
        )
    if match["tags"]:
        raise _unknown_tag(match["tags"].strip(), where)
    return where, match["place"], prompt


def _is_json(text: str) -> bool:
    return re.match(r'\s*(\{|\[\s*["{\]])', text) is not None


def _json_entries(text: str) -> Iterator[Entry]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise MagiError(f"line {error.lineno}: this storyboard looks like JSON but is not valid: {error.msg}") from None
    if isinstance(content, dict):
        _refuse_keys(content, {"chunks"}, "the storyboard")
        content = content.get("chunks")
    if not isinstance(content, list):
        raise MagiError('a storyboard in JSON is {"chunks": [{"at": "0-2", "prompt": "..."}, "..."]}')
    for number, entry in enumerate(content, start=1):
        yield _json_entry(entry, f"entry {number}")


def _json_entry(entry: Any, where: str) -> Entry:
    if isinstance(entry, str):
        return where, None, entry
    if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
        raise MagiError(f'{where}: must be a prompt or {{"at": "0-2", "prompt": "..."}}, not {json.dumps(entry)[:60]}')
    _refuse_keys(entry, {"at", "prompt"}, where)
    place = entry.get("at")
    if isinstance(place, bool) or not isinstance(place, str | int | None):
        raise MagiError(f'{where}: "at" must be a chunk such as 3, or text such as "0-2" or "4s-6s": {place!r}')
    if isinstance(place, str):
        match = _PLACE.match(place)
        if match is None or not match["place"]:
            raise MagiError(f"{where}: {place!r} is no place in the video: {_ALLOWED}")
        if match["tags"]:
            raise _unknown_tag(match["tags"].strip(), where)
    return where, None if place is None else str(place), entry["prompt"]


def _chunks(place: str, where: str, chunk_seconds: Fraction) -> tuple[int, int]:
    """First and last chunk (inclusive) of "3", "0-2", "4s" or "4s-6s"."""
    place = place.strip()
    ends = _RANGE.match(place)
    numbers = [_NUMBER.match(end) for end in ends.groups() if end is not None] if ends else []
    if not numbers or None in numbers:
        raise MagiError(f"{where}: {place!r} is no place in the video: {_ALLOWED}")
    values, units = [Fraction(n[1]) for n in numbers], {n[2] for n in numbers}
    if len(units) > 1:
        raise MagiError(f"{where}: {place!r} mixes chunks and seconds: write both ends as '4-6' or both as '4s-6s'")
    first, last = values[0], values[-1]
    if len(values) == 2 and last < first:
        low, high = (n[0] for n in reversed(numbers))
        raise MagiError(f"{where}: {place!r} runs backwards: write '{low}-{high}'")
    if units == {""}:
        for value in values:
            if value.denominator != 1:
                raise MagiError(f"{where}: chunks are whole numbers: {place!r}; for seconds write '{place}s'")
        return int(first), int(last)
    for value in values:
        if (value / chunk_seconds).denominator != 1:
            below = value // chunk_seconds * chunk_seconds
            raise MagiError(
                f"{where}: a prompt lasts whole chunks of {_seconds(chunk_seconds)}: {_seconds(value)} -> use "
                f"{_seconds(below)} or {_seconds(below + chunk_seconds)}"
            )
    start = int(first / chunk_seconds)
    stop = int(last / chunk_seconds) if len(values) == 2 else start + 1
    if stop == start:
        raise MagiError(f"{where}: {place!r} is empty: it ends where it starts")
    return start, stop - 1


def _unknown_tag(tag: str, where: str) -> MagiError:
    return MagiError(
        f"{where}: unknown tag {tag}; no tags are known yet. Remove it; a prompt that starts with a bracket needs the "
        "number of its chunk in front: '0: [...'"
    )


def _refuse_keys(content: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        names = ", ".join(f'"{key}"' for key in sorted(known))
        raise MagiError(f"{where}: unknown {', '.join(map(repr, unknown))}; known are {names}")


def _place(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _seconds(value: Fraction) -> str:
    return f"{float(value):.4g}s"
