"""One chunk of a storyboard, and its tags: `[cut]`, `[echo]`, `[reroll 2]`, `[ranges 1,1,3,2]`, `[strength .5]`,
`[tokens HQ, anime]`.

Tags stand between number and colon. In JSON the same is said by the keys transition, echo, reroll, ranges, strength and
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from magi_core.config import is_whole
from magi_core.errors import MagiError, echo
from magi_core.story.transitions import TRANSITIONS
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES

TOKEN_ALIASES = {
    "hq": "HQ",
    "3d": "THREE_D_MODEL",
    "2d": "TWO_D_ANIME",
    "anime": "TWO_D_ANIME",
    "static": "STATIC_FIRST_FRAMES",
    "dynamic": "DYNAMIC_FIRST_FRAMES",
    "borders": "BORDERNESS",
}
TOKENS = tuple(name for name in SPECIAL_TOKEN_NAMES if not name.startswith("DURATION_"))
KNOWN_TAGS = (
    f"{', '.join(f'[{name}]' for name in TRANSITIONS)}, [echo], [reroll 2], [ranges 1,1,3,2], "
    "[strength .5], [tokens HQ, anime]"
)
MAX_OFFSET = 10**9
MAX_TAG = 150  # characters; all special tokens together take fewer

_FIELDS = {
    "transition": "transition",
    "reroll": "seed_offset",
    "ranges": "kv_ranges",
    "strength": "strength",
    "tokens": "special_tokens",
    "echo": "echo",
}
JSON_KEYS = frozenset(_FIELDS)


class UnknownTag(MagiError):
    """A tag that means nothing."""


@dataclass(frozen=True)
class ChunkSpec:
    """What happens in one chunk. Runs of white space in the prompt count as one space.

    seed_offset: added to the take's seed for this chunk's noise: another number rerolls this chunk and what follows.
    transition: how it follows from the chunks before; see `magi_core.story.transitions.transition_ranges`.
    kv_ranges: in place of a transition, its own KV ranges from noisy to clean; None takes the settings'.
    special_tokens: names put before the prompt; None takes the settings', () none. Aliases become official names.
    echo: it sees across the cuts before it, which are walls otherwise.
    strength: of a second pass, how much of its source is made anew: from 0, it stays, to 1, all of it; None takes that
    of the pass.
    """

    prompt: str
    seed_offset: int = 0
    transition: str = "continue"
    kv_ranges: tuple[int, ...] | None = None
    special_tokens: tuple[str, ...] | None = None
    echo: bool = False
    strength: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", " ".join(self.prompt.split()))
        if not is_whole(self.seed_offset) or abs(self.seed_offset) > MAX_OFFSET:
            raise MagiError(f"a reroll is a whole number of at most {MAX_OFFSET}, such as 2: {echo(self.seed_offset)}")
        if self.transition not in TRANSITIONS:
            raise MagiError(f"unknown transition {echo(self.transition)}: use {', '.join(TRANSITIONS)}")
        if self.kv_ranges is not None:
            object.__setattr__(self, "kv_ranges", _ranges(self.kv_ranges))
            if self.transition != "continue":
                raise MagiError(f"'{self.transition}' sets the KV ranges of a chunk: give it or ranges, not both")
        if not isinstance(self.echo, bool):
            raise MagiError(f"echo is true or false: {echo(self.echo)}")
        if self.echo and self.transition == "cut":
            raise MagiError("a cut hides what lies before it: give [echo] to the chunks after it that may look back")
        if self.special_tokens is not None:
            object.__setattr__(self, "special_tokens", _tokens(self.special_tokens))
        if self.strength is not None:
            object.__setattr__(self, "strength", checked_strength(self.strength))

    @property
    def going_on(self) -> ChunkSpec:
        """The next chunk of the same line: all the same, but what the transition did is done."""
        return replace(self, transition="continue")

    @property
    def held(self) -> ChunkSpec:
        """A chunk that no line names: the prompt and its tokens go on, nothing else."""
        return ChunkSpec(self.prompt, special_tokens=self.special_tokens)

    @property
    def tags(self) -> str:
        """As tags, `parse_tags` gives the same back; "" where there is nothing to say."""
        words = [] if self.transition == "continue" else [self.transition]
        words += ["echo"] if self.echo else []
        words += [f"reroll {self.seed_offset}"] if self.seed_offset else []
        words += [] if self.kv_ranges is None else ["ranges " + ",".join(map(str, self.kv_ranges))]
        words += [] if self.strength is None else [f"strength {_decimal(self.strength)}"]
        words += [] if self.special_tokens is None else ["tokens " + (", ".join(self.special_tokens) or "none")]
        return " ".join(f"[{word}]" for word in words)

    @property
    def json(self) -> dict[str, Any]:
        """As JSON keys, the prompt included; what says nothing is left out."""
        said = {key: getattr(self, name) for key, name in _FIELDS.items()}
        silent = {"transition": "continue", "reroll": 0, "echo": False}
        return {"prompt": self.prompt} | {key: value for key, value in said.items() if value != silent.get(key)}


def parse_tags(tags: str) -> dict[str, Any]:
    """Fields of a `ChunkSpec` from "[cut] [reroll 2]". Raises `UnknownTag`, or `MagiError` for a wrong value."""
    fields: dict[str, Any] = {}
    for before_bracket in tags.split("]")[:-1]:
        content = before_bracket.partition("[")[2]
        if len(content) > MAX_TAG:
            raise MagiError(f"a tag has at most {MAX_TAG} characters; known are {KNOWN_TAGS}: {echo(content)}")
        name, value = _tag(content)
        if name in fields:
            raise MagiError(f"[{content}] says again what a tag before it says: leave one of them out")
        fields[name] = value
    return fields


def is_tag(content: str) -> bool:
    """Whether what stands in brackets is a tag, be it one with a wrong value."""
    try:
        _tag(content)
    except UnknownTag:
        return False
    except MagiError:
        pass
    return True


def json_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `ChunkSpec` from the JSON keys that tags have; values of a wrong kind raise `MagiError`."""
    for key in ("ranges", "tokens"):
        if not isinstance(entry.get(key, []), list):
            raise MagiError(f'"{key}" must be a list: {echo(entry[key])}')
    return {name: entry[key] for key, name in _FIELDS.items() if key in entry}


def _tag(content: str) -> tuple[str, Any]:
    word, *rest = content.replace(",", " ").split() or [""]
    word = word.lower()
    whole = re.sub(r"[\s-]+", "_", content.strip().lower())
    if whole in TRANSITIONS:
        return "transition", whole
    if word == "reroll" and len(rest) <= 1:
        return "seed_offset", _whole(rest[0], content) if rest else 1
    if word == "echo" and not rest:
        return "echo", True
    if word == "ranges" and rest:
        return "kv_ranges", tuple(_whole(number, content) for number in rest)
    if word == "strength" and len(rest) == 1:
        return "strength", _from_0_to_1(rest[0], content)
    if word == "tokens" and rest:
        return "special_tokens", () if [name.lower() for name in rest] == ["none"] else tuple(rest)
    raise UnknownTag(f"unknown tag [{content}]; known are {KNOWN_TAGS}")


def _whole(text: str, content: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,10}", text):
        raise MagiError(f"[{content}] needs whole numbers, not {echo(text)}")
    return int(text)


def checked_strength(strength: float) -> float:
    """A strength that can be, in steps of a millionth; `MagiError` for others."""
    number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not number or not 0 <= strength <= 1:
        raise MagiError(f"a strength is a number from 0, the source stays, to 1, all is made anew: {echo(strength)}")
    return round(float(strength), 6)


def _from_0_to_1(text: str, content: str) -> float:
    if not re.fullmatch(r"[-+]?(\d{1,9}\.?\d{0,9}|\.\d{1,9})", text):
        raise MagiError(f"[{content}] needs a number such as .5, not {echo(text)}")
    return checked_strength(float(text))


def _decimal(strength: float) -> str:
    """ ".5": the shortest that is read back the same."""
    return f"{strength:.6f}".rstrip("0").rstrip(".")


def _ranges(ranges: Sequence[int]) -> tuple[int, ...]:
    if not ranges or not all(is_whole(r) and r >= 1 for r in ranges):
        raise MagiError(f"KV ranges count the chunk itself, so each is a whole number from 1 on: {echo(list(ranges))}")
    return tuple(ranges)


def _tokens(names: Sequence[str]) -> tuple[str, ...]:
    """Official names, each once."""
    official: dict[str, None] = {}
    for name in names:
        known = TOKEN_ALIASES.get(str(name).lower(), str(name).upper())
        if known.startswith("DURATION_"):
            raise MagiError(f"{str(name)[:20]} is no tag: duration follows from the length of the video (total_chunks)")
        if known not in TOKENS:
            raise MagiError(f"there is no special token {echo(name)}; known are {', '.join((*TOKENS, *TOKEN_ALIASES))}")
        official[known] = None
    return tuple(official)
