"""Three hundred changes to what a take says: each is refused in words, or harmless, for `info` and for an extend."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from magi_core.cli.main import main
from magi_core.errors import MagiError
from magi_core.state import Autosave, load_state
from magi_core.state.save import HEAD, KEY, parts_folders
from tools.small_models import tiny_engine

CHANGES_EACH = 100
VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 8, 10**9, -(10**9), 10**19, 0.5, -0.0, 1e300, 1e-300, True, False, None),
    *("", "128", "x", "cut", "NaN", "\x1b[2J", "\ud800", "a" * 5000, [], {}, [0], ["x"], [[]], [None], {"a": 1}),
    *([1, 2, 3], [10**9] * 4, [0.0, 0.5], {"prompt": "red"}, [[1, {"prompt": "red"}]], [[10**9, {}]]),
)
Place = tuple[Any, ...]


def pending_take(path: Path) -> Path:
    """Given frames, finished chunks, two in flight, an earlier frontier, a cut."""
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, seed=5, prefix=torch.randn(1, 16, 7, 4, 4) / 3)
    state = engine.extend(begun, ["red", "blue", "red"])
    flying = engine.extend(state, "green", 3, drain=False, handoff="continuous")
    engine.remembered(flying).save(path, all_frontiers=True)
    return path


def broken_off_take(path: Path) -> Path:
    """Two of six chunks are finished, three in flight, one to come."""
    engine = tiny_engine()
    states = engine.stream(engine.begin(width=32, height=32, seed=5, total_chunks=6), ["red", "blue"] * 3)
    next(states)
    next(states).save(path)
    return path


def head_in_parts(path: Path) -> Path:
    """The head of a take that is being made."""
    engine = tiny_engine()
    saved = Autosave(path)
    for state in list(engine.stream(engine.begin(width=32, height=32, seed=5), ["red", "blue", "red"]))[:2]:
        saved.write(state)
    return parts_folders(path)[0] / HEAD


MADE = {"in flight": pending_take, "broken off": broken_off_take, "in parts": head_in_parts}


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in a JSON value, itself aside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        yield (*here, key)
        yield from places(below, (*here, key))


def changed(words: dict[str, Any], draw: random.Random) -> tuple[dict[str, Any], str]:
    """A copy with one to three things replaced, left out, doubled, reversed or moved, and what was done."""
    words, done = deepcopy(words), []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        *above, last = draw.choice([p for p in places(words) if p[0] not in ("checksums", "format")])
        parent = words
        for key in above:
            parent = parent[key]
        how = draw.choice(("value", "value", "value", "left out", "doubled", "reversed", "other"))
        if how == "left out":
            del parent[last]
        elif how == "doubled" and isinstance(parent, list):
            parent.insert(last, deepcopy(parent[last]))
        elif how == "reversed" and isinstance(parent[last], list):
            parent[last].reverse()
        elif how == "other":  # a value from elsewhere in the take
            value: Any = words
            for key in draw.choice(list(places(words))):
                value = value[key]
            parent[last] = deepcopy(value)
        else:
            parent[last] = deepcopy(draw.choice(VALUES))
        done.append(f"{how} at {[*above, last]}")
    return words, ", ".join(done)


def rewritten(file: Path, words: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, file, {KEY: json.dumps(words)})


def planned(path: Path) -> None:
    """Load, and plan every way to go on."""
    state, engine = load_state(path), tiny_engine()
    for handoff in ("clean", "continuous"):
        engine.plan(state, ["red", "blue"], handoff=handoff)
    if state.unfinished is not None:
        engine.plan(state, state.unfinished.asked(state.finished) or ["red"])
    if state.finished > state.first_chunk:
        engine.plan(state.at(state.finished - 1), "green", handoff="continuous", drain=False)


def outcome(act: Callable[[], object]) -> str:
    """ "", "refused", or the error that should not have been."""
    try:
        act()
    except MagiError as error:
        return "refused" if len(str(error)) < 1500 else f"{len(str(error))} characters of message"
    except Exception as error:  # noqa: BLE001  (any other error is what the test looks for)
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("kind", MADE)
def test_a_changed_take_is_refused_in_words_or_works(kind, tmp_path, capsys):
    file, take = MADE[kind](tmp_path / "take.magi"), tmp_path / "take.magi"
    with safe_open(file, framework="pt") as content:
        words = json.loads(content.metadata()[KEY])
        tensors = {name: content.get_tensor(name).clone() for name in content.keys()}  # noqa: SIM118
    draw, wrong, refused = random.Random(kind), [], 0
    for _ in range(CHANGES_EACH):
        other, done = changed(words, draw)
        rewritten(file, other, tensors)
        seen = outcome(lambda: planned(take))
        refused += seen == "refused"
        if seen not in ("", "refused"):
            wrong.append(f"{done}: planning: {seen}")
        if seen := outcome(lambda: main(["info", str(take)])):
            wrong.append(f"{done}: info: {seen}")
        assert "\x1b" not in capsys.readouterr().out
    assert not wrong, "\n".join(wrong)
    assert CHANGES_EACH / 3 < refused < CHANGES_EACH, "most changes are seen, and some are harmless"
