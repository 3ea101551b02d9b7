"""What happens in each chunk, as text to type or as JSON with the same meaning.

    # Chunks count from 0; a chunk is 24 frames, 1 second at 24 fps. This line is a comment.
    0-2: a red ball rolls along a table
    3 [new_shot]: it stops
    4s-6s [reroll 2]: a hand picks it up
    the camera pulls back

Here chunks 0, 1 and 2 share a prompt, chunk 3 has its own, from second 4 to second 6 are chunks 4 and 5, and a line
without a number is the chunk after the line above: 6.

Tags between number and colon direct the chunk (`ChunkSpec`, docs/storyboard.md). Of a line for several chunks a
transition is for the first of them, the other tags for all. Lines may come in any order. Chunks that no line names keep
prompt and special tokens of the chunk before. A prompt may be empty (`3:`): the chunk follows what came before. As
JSON: `{"chunks": [{"at": "0-2", "prompt": "...", "transition": "cut", "reroll": 2, "ranges": [1, 1, 3, 2],
"tokens": ["HQ"]}, "..."]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json
from magi_core.story.chunk import JSON_KEYS, ChunkSpec, UnknownTag, json_fields, parse_tags
from magi_core.story.misread import check_line, check_words, plain, split_at_colon, spoken, typed, visible
from magi_core.story.places import ALLOWED, Placing, place_in_words
from magi_core.text.cleaning import check_prompt

__all__ = ["ChunkSpec", "Storyboard", "parse_storyboard"]

MAX_CHARACTERS = 1_000_000
MOST_NOTES = 5

SIGNS = "-+"


Entry = tuple[str, "str | None", ChunkSpec]
"""Where it stands ("line 3"), its place ("0-2") or None for the next chunk, what happens."""


@dataclass(frozen=True)
class Storyboard:
    """One entry per chunk, from chunk 0 on. notes: what the artist should know of how it was read."""

    chunks: tuple[ChunkSpec, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, prompts: Iterable[str]) -> Storyboard:
        """One prompt per chunk."""
        return cls(tuple(ChunkSpec(prompt) for prompt in prompts))

    def __len__(self) -> int:
        return len(self.chunks)

    @property
    def prompts(self) -> list[str]:
        return [chunk.prompt for chunk in self.chunks]

    @property
    def lines(self) -> list[tuple[int, int, ChunkSpec]]:
        """(first chunk, last chunk, the first of them) of all that one line says."""
        lines: list[tuple[int, int, ChunkSpec]] = []
        going_on: ChunkSpec | None = None  # what would be the same line; made once for each, prompts may be long
        for index, chunk in enumerate(self.chunks):
            if chunk == going_on:
                lines[-1], going_on = (lines[-1][0], index, lines[-1][2]), chunk
            else:
                lines.append((index, index, chunk))
                going_on = chunk.going_on
        return lines

    def of_length(self, chunks: int) -> Storyboard:
        """Cut to `chunks`, or held: the last prompt goes on."""
        return Storyboard((self.chunks + (self.chunks[-1].held,) * (chunks - len(self)))[:chunks])

    def to_text(self) -> str:
        """The text form; `parse_storyboard` gives the same storyboard back."""
        heads = [" ".join(filter(None, (place_in_words(first, last), chunk.tags))) for first, last, chunk in self.lines]
        lines = (f"{head}: {typed(chunk.prompt)}" for head, (_, _, chunk) in zip(heads, self.lines, strict=True))
        return "".join(line.rstrip() + "\n" for line in lines)

    def to_json(self) -> str:
        """The JSON form; `parse_storyboard` gives the same storyboard back."""
        entries = [
            {"at": place_in_words(first, last)} | chunk.json | {"prompt": typed(chunk.prompt)}
            for first, last, chunk in self.lines
        ]
        return json.dumps({"chunks": entries}, ensure_ascii=False, indent=2) + "\n"


def parse_storyboard(text: str, *, fps: float | Fraction = 24) -> Storyboard:
    """A storyboard from its text or JSON form (see the module's description).

    fps: of the finished video; a chunk lasts 24 / fps seconds. Raises `MagiError`, with the line or entry, for ranges
    that overlap, run backwards or are no numbers, seconds that are not whole chunks, tags that are unknown or
    have wrong values, tags and places that would be read as words, a missing chunk 0, no line at all.
    """
    check_length(text)
    placing = Placing(fps)
    for where, place, story in entries_of(text):
        placing.add(where, place, story)
    return board_of(placing)


def check_length(text: str) -> None:
    """Raise `MagiError` for a text that is longer than any storyboard."""
    if len(text) > MAX_CHARACTERS:
        raise MagiError(f"a storyboard has at most {MAX_CHARACTERS:,} characters, and this one has {len(text):,}")


def entries_of(text: str) -> Iterator[Entry]:
    """What the lines or entries of a storyboard say, in the order they are written in."""
    text = text.removeprefix("\ufeff")
    yield from _json_entries(text) if is_json(text) else _text_entries(text)


def board_of(placing: Placing) -> Storyboard:
    """The storyboard of what was placed; `MagiError` where nothing says how it begins."""
    said = placing.said
    if not said:
        raise MagiError(f"the storyboard has no prompts: {ALLOWED}, or one prompt per line")
    if 0 not in said:
        raise MagiError(f"nothing says what happens in chunk 0; the first is chunk {min(said)}: add a line '0: ...'")
    return _in_order({chunk: story for chunk, (_, story) in said.items()})


def _in_order(said: Mapping[int, ChunkSpec]) -> Storyboard:
    """The storyboard of what is said about some chunks, the first one among them; the others are held."""
    chunks: list[ChunkSpec] = []
    held: list[tuple[int, int]] = []
    for chunk in range(max(said) + 1):
        if chunk in said:
            chunks.append(said[chunk])
        elif chunk - 1 in said:
            chunks.append(chunks[-1].held)
            held.append((chunk, chunk))
        else:
            chunks.append(chunks[-1])
            held[-1] = (held[-1][0], chunk)
    notes = [f"no line names {_chunks_in_words(*gap)}: chunk {gap[0] - 1} goes on" for gap in held[:MOST_NOTES]]
    return Storyboard(tuple(chunks), tuple(notes))


def _text_entries(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not says_nothing(line):
            yield line_entry(line, f"line {number}")


def says_nothing(line: str) -> bool:
    """Whether a line of the text form is blank or a comment."""
    line = visible(line).lstrip()
    return not line or plain(line[:1]) == "#"


def line_entry(line: str, where: str) -> Entry:
    """What one line of the text form says; `MagiError` with `where`."""
    before, colon, prompt = split_at_colon(line)
    head = plain(visible(before)).strip()
    found = _head(head) if colon and head else None
    seen = plain(visible(line)).strip()
    if found is None and seen[:1] == "[":
        raise _tags_without_colon(seen, where)
    place, tags = found or ("", "")
    if place and prompt[:1].isdigit():
        raise MagiError(
            f"{where}: is {echo(f'{head}:{prompt.split()[0]}')} a time or a chunk with its prompt? Write "
            f"{echo(f'{head}: {prompt}')}, or put the number of the chunk in front: {echo(f'0: {line.strip()}')}"
        )
    try:
        if found is None:
            check_line(visible(line))
        return where, place or None, _chunk(prompt if found else line, head if found else "", **parse_tags(tags))
    except MagiError as error:
        raise _in(where, error) from None


def _head(text: str) -> tuple[str, str] | None:
    """Place and tags, each perhaps "", of what stands before a colon or at "at"; None where it is something else."""
    text, place, tags = text.strip(), 0, 0
    if text[:1].isdecimal() or (text[:1] in SIGNS and text[1:2].isdecimal()):
        place = next((i for i, letter in enumerate(text) if i and not _in_place(letter)), len(text))
    tags = place
    while text[tags : tags + 1] == "[":
        tags = text.find("]", tags) + 1
        if not tags:
            return None
        while text[tags : tags + 1].isspace():
            tags += 1
    return (text[:place], text[place:]) if tags == len(text) else None


def _in_place(letter: str) -> bool:
    return letter.isdecimal() or letter.isspace() or letter in ".,sS-"


def _chunk(prompt: str, head: str = "", **fields: Any) -> ChunkSpec:
    """What happens by a prompt as typed. head: what stands before it, for messages."""
    check_prompt(prompt)
    check_words(prompt, head)
    return ChunkSpec(spoken(prompt), **fields)


def _tags_without_colon(line: str, where: str) -> MagiError:
    """What to say of a line that starts with a bracket and is no line with tags."""
    tags = line[: line.find("]") + 1]
    try:
        parse_tags(tags or f"{line}]")
    except MagiError as error:
        return _in(where, error)
    return MagiError(f"{where}: a colon goes between tags and prompt: write '{tags}: ...', or '3 {tags}: ...'")


def is_json(text: str) -> bool:
    """Whether a storyboard is meant as JSON."""
    return re.match(r'\s*(\{|\[\s*["{\]])', text) is not None


def _json_entries(text: str) -> Iterator[Entry]:
    content = parse_json(text, "this storyboard")
    if isinstance(content, dict):
        _refuse_keys(content, {"chunks"}, "the storyboard")
        content = content.get("chunks")
    if not isinstance(content, list):
        raise MagiError('a storyboard in JSON is {"chunks": [{"at": "0-2", "prompt": "..."}, "..."]}')
    for number, entry in enumerate(content, start=1):
        yield json_entry(entry, f"entry {number}")


def json_entry(entry: Any, where: str) -> Entry:
    """What one entry of the JSON form says; `MagiError` with `where`."""
    if isinstance(entry, str):
        return where, None, _json_chunk(where, entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
        raise MagiError(f'{where}: must be a prompt or {{"at": "0-2", "prompt": "..."}}, not {json.dumps(entry)[:60]}')
    _refuse_keys(entry, {"at", "prompt", *JSON_KEYS}, where)
    place = entry.get("at")
    if isinstance(place, bool) or not isinstance(place, str | int | None):
        raise MagiError(f'{where}: "at" must be a chunk such as 3, or text such as "0-2" or "4s-6s": {echo(place)}')
    if isinstance(place, str):
        place = plain(visible(place))
        alone, tags = _head(place) or ("", "")
        if not alone:
            raise MagiError(f"{where}: {echo(place)} is no place in the video: {ALLOWED}")
        if tags:
            keys = ", ".join(f'"{key}"' for key in sorted(JSON_KEYS))
            raise MagiError(
                f'{where}: "at" is a place alone; {echo(tags, quoted=False)} has its own key, one of {keys}'
            )
    return where, None if place is None else str(place), _json_chunk(where, entry["prompt"], entry)


def _json_chunk(where: str, prompt: str, entry: Mapping[str, Any] | None = None) -> ChunkSpec:
    try:
        return _chunk(prompt, **json_fields(entry or {}))
    except MagiError as error:
        raise _in(where, error) from None


def _in(where: str, error: MagiError) -> MagiError:
    """The same error with its place in the storyboard."""
    bracket = ". A prompt that starts with a bracket needs the number of its chunk in front: '0: [...'"
    return MagiError(f"{where}: {error}{bracket if isinstance(error, UnknownTag) else ''}")


def _refuse_keys(content: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        names = ", ".join(f'"{key}"' for key in sorted(known))
        raise MagiError(f"{where}: unknown {', '.join(map(echo, unknown[:3]))}; known are {names}")


def _chunks_in_words(first: int, last: int) -> str:
    return f"chunk {first}" if first == last else f"chunks {first} to {last}"
