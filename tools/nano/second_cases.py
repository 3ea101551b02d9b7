"""What the evaluation asks of second passes: a source, and what is to become of it.

Studio backgrounds only, which look the same in every world that nano was trained in.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from magi_core.story.chunk import ChunkSpec
from tools.nano.cases import Case, full_caption
from tools.nano.scripts import Script, film, write_script
from tools.nano.vocabulary import ACTIONS, CHUNKS, COLOUR_NAMES, DIRECTIONS, SHAPES, held_out_triples

STUDIO = ("white", "gray", "black")
TAKE_CHUNKS = 8  # of what is retouched
FIRST, LAST = 2, 5  # of those, what is made anew
JOIN = 2
OTHER_MOTIONS = (*DIRECTIONS, "still", "circle", "bounce")
SECOND_COUNTS = {"restyle": 100, "retouch": 100, "finish": 100}


@dataclass(frozen=True, eq=False)
class SecondCase(Case):
    """chunks: what is asked of the second pass, one per chunk that it makes. source: what the take was told that it
    starts from; empty: the drawn `clip` is the source. moved: of a retouch, the same with another motion."""

    source: tuple[ChunkSpec, ...] = ()
    moved: tuple[ChunkSpec, ...] = ()


def restyle(count: int, seed: int) -> list[SecondCase]:
    """Six chunks in another colour, named in every prompt; the source is a drawn film, of every other case a take."""
    cases = []
    for i, rng, script in _scripts("restyle", count, seed, CHUNKS):
        new, source = recoloured(rng, script), _said(rng, script) if i % 2 else ()
        case = SecondCase("restyle", i, seed * 1000 + i, _said(rng, new), _truth(new), film(script), source=source)
        cases.append(case)
    return cases


def retouch(count: int, seed: int) -> list[SecondCase]:
    """Chunks 2 to 5 of a take of eight: in another colour; and, with the take's own, in another motion.

    The drawn clip is of its first six chunks.
    """
    cases = []
    for i, rng, script in _scripts("retouch", count, seed, TAKE_CHUNKS):
        new = recoloured(rng, script)
        others = [action for action in OTHER_MOTIONS if action not in script.actions[FIRST : LAST + 1]]
        moved = replace(script, actions=(rng.choice(others),) * TAKE_CHUNKS)
        middle = slice(FIRST, LAST + 1)
        cases.append(
            SecondCase(
                "retouch",
                i,
                seed * 1000 + i,
                _said(rng, new)[middle],
                _truth(new)[middle],
                film(replace(script, colours=script.colours[:CHUNKS], actions=script.actions[:CHUNKS])),
                source=_said(rng, script),
                moved=_said(rng, moved)[middle],
            )
        )
    return cases


def finish(count: int, seed: int) -> list[SecondCase]:
    """Six chunks, drafted and finished with the same prompts."""
    cases = []
    for i, rng, script in _scripts("finish", count, seed, CHUNKS):
        chunks = _said(rng, script)
        cases.append(SecondCase("finish", i, seed * 1000 + i, chunks, _truth(script), film(script), source=chunks))
    return cases


def drafted(count: int, seed: int, chunks: int) -> list[SecondCase]:
    """Full captions of one film each, for runs that are compared with each other."""
    cases = []
    for i, rng, script in _scripts("draft", count, seed, chunks):
        cases.append(SecondCase("draft", i, seed * 1000 + i, _said(rng, script), _truth(script)))
    return cases


def recoloured(rng: random.Random, script: Script) -> Script:
    """The script in another colour; with its first action held out of training where there is such a colour."""
    unnamed = held_out_triples()[SHAPES.index(script.shape), :, ACTIONS.index(script.actions[0])]
    others = [name for name in COLOUR_NAMES if name != script.colours[0]]
    colour = rng.choice([name for name in others if unnamed[COLOUR_NAMES.index(name)]] or others)
    return replace(script, colours=(colour,) * len(script.colours))


def _scripts(row: str, count: int, seed: int, chunks: int) -> list[tuple[int, random.Random, Script]]:
    found = []
    for i in range(count):
        rng, draw = random.Random(f"{row} {seed} {i}"), np.random.default_rng([seed, 20 + len(row), i])
        beats = ["new", *(rng.choice(("new", "new", "same")) for _ in range(chunks - 1))]
        found.append((i, rng, replace(write_script(draw, beats), background=rng.choice(STUDIO))))
    return found


def _said(rng: random.Random, script: Script) -> tuple[ChunkSpec, ...]:
    return tuple(ChunkSpec(full_caption(rng, script, k)) for k in range(len(script.actions)))


def _truth(script: Script) -> tuple[dict[str, str], ...]:
    return tuple(script.truth(k) for k in range(len(script.actions)))


SECOND_ROWS: dict[str, Callable[[int, int], list[SecondCase]]] = {
    "restyle": restyle,
    "retouch": retouch,
    "finish": finish,
}
