"""What the evaluation asks for: prompts, seeds and the truth the analyser should find, per ability."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from tools.nano import captions
from tools.nano.motion import A
from tools.nano.scenes import Scenes, sample_scenes, size_name
from tools.nano.vocabulary import ACTIONS, BACKGROUNDS, COLOUR_NAMES, SHAPES, held_out_triples

LEAVES_SIZE = tuple(a for a in ACTIONS if a not in ("grow", "shrink"))


@dataclass(frozen=True)
class Case:
    """One video to make. prompts: one per chunk. truth: per chunk, attribute -> word (absent where not
    named).

    scene: number of the drawn clip (see `drawn`) for cases that start from pixels or that measure the
    ceiling.
    """

    row: str
    number: int
    seed: int
    prompts: tuple[str, ...]
    truth: tuple[dict[str, str], ...]
    scene: int | None = None
    settings: dict = field(default_factory=dict)


def drawn(count: int, seed: int) -> Scenes:
    """Plain clips with one object whose first caption is a held-out triple."""
    return sample_scenes(count, seed, plain=True, held_out=True, alone=True)


def single(count: int, seed: int) -> list[Case]:
    """One chunk from one full caption with a held-out combination of shape, colour and action."""
    scenes = drawn(count, seed)
    cases = []
    for i in range(count):
        action = ACTIONS[scenes.action[i, 0, 0]]
        truth = _attributes(scenes, i) | {"motion": action}
        text = scenes.captions[i][0]
        words = set(text.replace(",", " ").split())
        if action in ("grow", "shrink") or not words & {"big", "large", "small", "little"}:
            truth.pop("size", None)
        if not any(phrase in text for phrase in captions.BACKGROUND_WORDS[truth["background"]]):
            truth.pop("background")
        cases.append(Case("single", i, seed * 1000 + i, (text,), (truth,), scene=i))
    return cases


def _attributes(scenes: Scenes, i: int) -> dict[str, str]:
    size = size_name(float(scenes.path[i, 0, 0, 2]))
    return {
        "colour": COLOUR_NAMES[scenes.colour_from[i, 0, 0]],
        "shape": SHAPES[scenes.shape[i, 0]],
        "background": BACKGROUNDS[scenes.background_from[i, 0]],
    } | ({"size": size} if size else {})


def swap(count: int, seed: int) -> list[Case]:
    """Three chunks: an action, the same again, then another in a full caption; everything else stays."""
    rng, cases = random.Random(f"swap {seed}"), []
    for i in range(count):
        thing = _thing(rng)
        before, after = rng.sample([a for a in ACTIONS if a not in ("grow", "shrink")], 2)
        texts, truth = [], []
        for action in (before, before, after):
            texts.append(_full(rng, thing, action))
            truth.append(thing | {"motion": action})
        cases.append(Case("swap", i, seed * 1000 + i, tuple(texts), tuple(truth)))
    return cases


def memory(count: int, seed: int) -> list[Case]:
    """Six chunks: everything is said once, then only changes of action or colour."""
    rng, cases = random.Random(f"memory {seed}"), []
    for i in range(count):
        thing = _thing(rng)
        action = rng.choice(LEAVES_SIZE)
        texts, truth = [_full(rng, thing, action)], [thing | {"motion": action}]
        recolour = rng.choice((1, 2, 3, 4))
        for k in range(1, 6):
            if k == recolour:
                thing = thing | {"colour": rng.choice([c for c in COLOUR_NAMES if c != thing["colour"]])}
                texts.append(captions.colour_change(rng, "it", thing["colour"]))
            elif rng.random() < 0.6:
                action = rng.choice([a for a in LEAVES_SIZE if a != action])
                texts.append(captions.action_change(rng, "it", action))
            else:
                texts.append(captions.action_repeat(rng, "it", action))
            truth.append(thing | {"motion": action})
        cases.append(Case("memory", i, seed * 1000 + i, tuple(texts), tuple(truth)))
    return cases


def image(count: int, seed: int) -> list[Case]:
    """One chunk from a drawn first frame and its caption."""
    return [
        Case(
            "image",
            c.number,
            c.seed,
            c.prompts,
            ({**_attributes_of(seed, count, c.number), **c.truth[0]},),
            scene=c.scene,
        )
        for c in single(count, seed)
    ]


def _attributes_of(seed: int, count: int, i: int) -> dict[str, str]:
    attributes = _attributes(drawn(count, seed), i)
    attributes.pop("size", None)
    return attributes


def continuation(count: int, seed: int) -> list[Case]:
    """A drawn second of straight motion with room ahead is carried on by "it keeps moving ..."."""
    scenes = drawn(8 * count, seed)
    rng, cases = random.Random(f"continuation {seed}"), []
    for i in range(len(scenes)):
        action = scenes.action[i, 0, 0]
        end = scenes.path[i, 0, 23]
        margin = 1.5 * end[2] + 24
        axis = 0 if action in (A["left"], A["right"]) else 1
        ahead = end[axis] if action in (A["left"], A["up"]) else 128 - end[axis]
        straight = action < 4 and np.ptp(scenes.path[i, 0, :24, axis]) > 14
        if straight and ahead > margin and len(cases) < count:
            text = captions.action_repeat(rng, "it", ACTIONS[action])
            truth = _attributes(scenes, i) | {"motion": ACTIONS[action]}
            cases.append(Case("continuation", len(cases), seed * 1000 + i, (text,), (truth,), scene=i))
    return cases


def _thing(rng: random.Random) -> dict[str, str]:
    """A random object and place, as an attribute -> word table."""
    return {
        "shape": rng.choice(SHAPES),
        "colour": rng.choice(COLOUR_NAMES),
        "size": rng.choice(("small", "big")),
        "background": rng.choice(BACKGROUNDS),
    }


def _full(rng: random.Random, thing: dict[str, str], action: str) -> str:
    return captions.full_caption(rng, [(thing["shape"], thing["colour"], thing["size"], action)], thing["background"])


def is_held_out(thing: dict[str, str], action: str) -> bool:
    """Whether training never named this combination."""
    table = held_out_triples()
    return bool(table[SHAPES.index(thing["shape"]), COLOUR_NAMES.index(thing["colour"]), ACTIONS.index(action)])


ROWS = {"single": single, "swap": swap, "memory": memory, "image": image, "continuation": continuation}
