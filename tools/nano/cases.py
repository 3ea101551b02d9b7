"""What the evaluation asks for: prompts, seeds and the truth the analyser should find, per ability."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from magi_core.story.chunk import ChunkSpec
from tools.nano import captions
from tools.nano.scenes import Scenes, sample_scenes, size_name
from tools.nano.scripts import KEEPS_SIZE, Script, clip_of, film, write_script
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CHUNK_FRAMES,
    COLOUR_NAMES,
    OUTDOORS,
    SHAPES,
    SPEEDS,
    USUAL_SPEEDS,
)

LONG_CHUNKS = 60
OTHER_CHANGES = ("act", "act", "colour", "camera", "weather", "grow")  # of a story, beside circling and night
APART = 1.3  # distance of two objects in sums of their radii from which on none of their points touch
TABLE_COUNTS = {
    "single": 500,
    "image": 500,
    "continuation": 500,
    "pair": 500,
    "swap": 240,
    "memory": 200,
    "shots": 200,
    "pace": 500,
    "camera": 200,
    "weather": 200,
    "wall": 200,
    "story": 200,
    "long": 60,
}
"""Videos per row for the published table; some swaps are left out of the score because a wall is in the way."""


@dataclass(frozen=True, eq=False)
class Case:
    """One video to make. chunks: one per generated second. truth: per chunk, attribute -> word (absent: not named); of
    a pair, per object.

    clip: the same as a drawn clip (N = 1), None where nothing can be drawn. given: frames of it to start from.
    """

    row: str
    number: int
    seed: int
    chunks: tuple[ChunkSpec, ...]
    truth: tuple[dict[str, str], ...]
    clip: Scenes | None = None
    given: int = 0

    @property
    def prompts(self) -> list[str]:
        return [chunk.prompt for chunk in self.chunks]


def single(count: int, seed: int) -> list[Case]:
    """One chunk from one full caption with a held-out combination of shape, colour and action."""
    scenes = sample_scenes(count, seed, plain=True, held_out=True, alone=True)
    cases = []
    for i in range(count):
        text = scenes.captions[i][0]
        truth = clip_truth(scenes, i)
        words = set(text.replace(",", " ").split())
        if not words & {"big", "large", "small", "little"}:
            truth.pop("size", None)
        if not any(phrase in text for phrase in captions.BACKGROUND_WORDS[truth["background"]]):
            truth.pop("background")
        cases.append(Case("single", i, seed * 1000 + i, (ChunkSpec(text),), (truth,), clip_of(scenes, i)))
    return cases


def clip_truth(scenes: Scenes, i: int) -> dict[str, str]:
    """What the first second of clip `i` shows; the size only where it has a clear name and does not change."""
    action = ACTIONS[scenes.action[i, 0, 0]]
    size = size_name(float(scenes.path[i, 0, 0, 2])) if action in KEEPS_SIZE else None
    return {
        "colour": COLOUR_NAMES[scenes.colour_from[i, 0, 0]],
        "shape": SHAPES[scenes.shape[i, 0]],
        "background": BACKGROUNDS[scenes.background_from[i, 0]],
        "motion": action,
    } | ({"size": size} if size else {})


def image(count: int, seed: int) -> list[Case]:
    """One chunk from a drawn first frame and a caption; every attribute of the picture must be kept."""
    seed += 1
    scenes = sample_scenes(count, seed, plain=True, held_out=True, alone=True)
    return [
        Case(
            "image",
            i,
            seed * 1000 + i,
            (ChunkSpec(scenes.captions[i][0]),),
            (clip_truth(scenes, i),),
            clip_of(scenes, i),
            given=1,
        )
        for i in range(count)
    ]


def pair(count: int, seed: int) -> list[Case]:
    """One chunk from one full caption with two objects; in the drawn film none hides the other."""
    seed += 2
    scenes = sample_scenes(40 * count, seed, plain=True, held_out=True)
    first, second = scenes.path[:, :, :CHUNK_FRAMES].swapaxes(0, 1)
    distance = np.linalg.norm(first[..., :2] - second[..., :2], axis=-1)
    apart = scenes.second & (distance > APART * (first[..., 2] + second[..., 2])).all(axis=1)
    cases = []
    for number, i in enumerate(np.flatnonzero(apart)[:count]):
        truth = tuple(
            {
                "colour": COLOUR_NAMES[scenes.colour_from[i, which, 0]],
                "shape": SHAPES[scenes.shape[i, which]],
                "motion": ACTIONS[scenes.action[i, which, 0]],
            }
            for which in (0, 1)
        )
        prompt = ChunkSpec(scenes.captions[i][0])
        cases.append(Case("pair", number, seed * 1000 + number, (prompt,), truth, clip_of(scenes, i)))
    return cases


def swap(count: int, seed: int) -> list[Case]:
    """Three chunks of full captions: an action, the same again, then another."""

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        return ChunkSpec(full_caption(rng, script, k))

    def beats(rng: random.Random) -> list[str]:
        return ["new", "same", rng.choice(("new", "new", "new", "new", "new", "new", "new", "grow", "shrink"))]

    return scripted("swap", count, seed, beats, text, all_held_out=True)


def memory(count: int, seed: int) -> list[Case]:
    """Six chunks: everything is said once, then only changes of action or colour."""

    def beats(rng: random.Random) -> list[str]:
        recolour = rng.choice((1, 2, 3, 4))
        beat = [rng.choice(("new", "new", "new", "same", "same")) for _ in range(6)]
        return ["new", *("recolour" if k == recolour else beat[k] for k in range(1, 6))]

    return scripted("memory", count, seed, beats, changes_only)


def continuation(count: int, seed: int) -> list[Case]:
    """A drawn second of straight motion is carried on by "it keeps moving ..."; no wall is in the way."""

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        return ChunkSpec(captions.action_repeat(rng, "it", script.actions[k]))

    cases = scripted("continuation", count, seed, lambda rng: ["straight", "same"], text)
    return [Case(c.row, c.number, c.seed, c.chunks[1:], c.truth[1:], c.clip, given=24) for c in cases]


def pace(count: int, seed: int) -> list[Case]:
    """As `continuation`, at every speed of the training clips."""

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        return ChunkSpec(captions.action_repeat(rng, "it", script.actions[k]))

    cases = scripted("pace", count, seed, lambda rng: ["straight", "same"], text, speeds=SPEEDS)
    return [Case(c.row, c.number, c.seed, c.chunks[1:], c.truth[1:], c.clip, given=24) for c in cases]


def camera(count: int, seed: int) -> list[Case]:
    """Three chunks outdoors: a full caption, a move of the camera and another; the object goes on with what it does."""

    def film_it(rng: random.Random, script: Script) -> Script:
        first = rng.choice(("pan left", "pan right", "zoom in"))
        ends = {"pan left": ("rest", "pan right"), "pan right": ("rest", "pan left"), "zoom in": ("zoom out",)}
        moves = ("rest", first, rng.choice(ends[first]))
        return replace(script, background=rng.choice(OUTDOORS), cameras=moves)

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        said = full_caption(rng, script, 0) if k == 0 else captions.camera_change(rng, script.cameras[k])
        return ChunkSpec(said)

    return scripted("camera", count, seed, lambda rng: ["new", "same", "same"], text, change=film_it)


def weather(count: int, seed: int) -> list[Case]:
    """Four chunks outdoors, half of which begin in rain or snow; in the third it changes in two of three."""

    def film_it(rng: random.Random, script: Script) -> Script:
        before = rng.choice(("clear", "clear", "rain", "snow"))
        other = rng.choice(("rain", "snow")) if before == "clear" else "clear"
        after = rng.choice((before, other, other))
        return replace(script, background=rng.choice(OUTDOORS), weathers=(before, before, after, after))

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        if k == 0:
            return ChunkSpec(full_caption(rng, script, 0))
        if script.weathers[k] != script.weathers[k - 1]:
            return ChunkSpec(captions.weather_change(rng, script.weathers[k - 1], script.weathers[k]))
        return ChunkSpec(captions.action_repeat(rng, "it", script.actions[k]))

    return scripted("weather", count, seed, lambda rng: ["new", "same", "same", "same"], text, change=film_it)


def wall(count: int, seed: int) -> list[Case]:
    """Five chunks: two of one shot, then a cut to other things in another place, which two more chunks go on with."""
    cases = []
    for i in range(count):
        rng, draw = random.Random(f"wall {seed} {i}"), np.random.default_rng([seed, 4, i])
        before = write_script(draw, ["new", "new"])
        while True:
            after = write_script(draw, ["new", "new", "same"])
            same = (before.colours[0] == after.colours[0], before.shape == after.shape)
            if not (any(same) or before.background == after.background):
                break
        shots = [changes_only(rng, before, k) for k in range(2)] + [changes_only(rng, after, k) for k in range(3)]
        shots[2] = replace(shots[2], transition="cut")
        truth = tuple(named_truth(script, k) for script, n in ((before, 2), (after, 3)) for k in range(n))
        cases.append(Case("wall", i, seed * 1000 + i, tuple(shots), truth))
    return cases


def story(count: int, seed: int) -> list[Case]:
    """Ten to twelve chunks outdoors: everything is said once, then six to nine changes and chunks without any, the last
    one among them.

    Circling and night are among the changes. truth: what is to be seen in each chunk; the size is left out once
    something has grown or shrunk.
    """
    return [_story(f"story {seed} {i}", i, seed) for i in range(count)]


def _story(name: str, number: int, seed: int) -> Case:
    rng = random.Random(name)
    script = write_script(np.random.default_rng([seed, 5, number]), ["new"])
    now = script.truth(0) | {"background": "day"}
    chunks = [ChunkSpec(full_caption(rng, replace(script, background="day"), 0))]
    length = rng.choice((10, 11, 12))
    changes = [
        "circle",
        "night",
        *rng.choices(OTHER_CHANGES, k=rng.randint(4, 7)),
    ]
    rng.shuffle(changes)
    plan = sorted(rng.sample(range(1, length - 1), min(len(changes), length - 2)))  # the last second is looked at
    truth = [dict(now)]
    for k in range(1, length):
        if k in plan:
            text, now = _change(rng, now, changes[plan.index(k)])
        else:
            text, now = rng.choice(captions.CONTINUATIONS), now | {"camera": _resting(now["camera"])}
        chunks.append(ChunkSpec(text))
        truth.append(dict(now))
    return Case("story", number, seed * 1000 + number, tuple(chunks), tuple(truth))


def _resting(camera: str) -> str:
    return camera if camera.startswith("pan") else "rest"


def _change(rng: random.Random, now: dict[str, str], kind: str) -> tuple[str, dict[str, str]]:
    """A caption of one change, and what is to be seen from then on."""
    now = now | {"camera": _resting(now["camera"])}
    if kind == "night":
        return rng.choice(captions.BACKGROUND_CHANGES["night"]), now | {"background": "night"}
    if kind == "colour":
        colour = rng.choice([name for name in COLOUR_NAMES if name != now["colour"]])
        return captions.colour_change(rng, "it", colour), now | {"colour": colour}
    if kind == "weather":
        after = "clear" if now["weather"] != "clear" else rng.choice(("rain", "snow"))
        return captions.weather_change(rng, now["weather"], after), now | {"weather": after}
    if kind == "camera":
        pans = now["camera"] != "rest"
        move = "rest" if pans else rng.choice(("pan left", "pan right"))
        return captions.camera_change(rng, move), now | {"camera": move}
    actions = {"circle": ("circle",), "grow": ("grow",)}.get(kind, ("left", "right", "up", "down", "bounce", "still"))
    action = rng.choice([name for name in actions if name != now["motion"]] or list(actions))
    if action == "grow":
        now = {name: word for name, word in now.items() if name != "size"}
    return captions.action_change(rng, "it", action), now | {"motion": action}


def shots(count: int, seed: int) -> list[Case]:
    """Three chunks: a full caption, a new shot and a hard cut; the last two prompts name an action only."""

    def text(rng: random.Random, script: Script, k: int) -> ChunkSpec:
        if k == 0:
            return ChunkSpec(full_caption(rng, script, 0))
        prompt = captions.action_change(rng, "it", script.actions[k])
        return ChunkSpec(prompt, transition=("new_shot", "cut")[k - 1])

    cases = scripted("shots", count, seed, lambda rng: ["new"] * 3, text)
    return [Case(c.row, c.number, c.seed, c.chunks, c.truth) for c in cases]


def long(count: int, seed: int) -> list[Case]:
    """Sixty chunks: everything is said once, then only actions. Chunks that are looked at (every sixth) move."""

    def beats(rng: random.Random) -> list[str]:
        moving = ("circle", "bounce", "left", "right", "up", "down")
        return ["new", *(rng.choice(moving) if k % 6 == 5 else "new" for k in range(1, 6))]

    cases = []
    for i in range(count):
        rng, draw = random.Random(f"long {seed} {i}"), np.random.default_rng([seed, 7, i])
        script = write_script(draw, beats(rng))
        chunks = [changes_only(rng, script, k % 6 if k else 0) for k in range(6)]
        for k in range(6, LONG_CHUNKS):
            if k % 6 == 0:
                script = replace_actions(script, write_script(draw, beats(rng)))
            chunks.append(ChunkSpec(captions.action_change(rng, "it", script.actions[k % 6])))
        truth = {name: word for name, word in script.truth(0).items() if name != "motion"}
        cases.append(Case("long", i, seed * 1000 + i, tuple(chunks), (truth,) * LONG_CHUNKS))
    return cases


def replace_actions(script: Script, other: Script) -> Script:
    """The object of one script with the actions of another."""
    return replace(script, actions=other.actions)


def scripted(
    row: str,
    count: int,
    seed: int,
    beats: Callable[[random.Random], list[str]],
    text: Callable[[random.Random, Script, int], ChunkSpec],
    *,
    all_held_out: bool = False,
    speeds: tuple[float, float] = USUAL_SPEEDS,
    change: Callable[[random.Random, Script], Script] = lambda rng, script: script,
) -> list[Case]:
    """Cases from random scripts, with the drawn film of each; `change` adds the weather or the camera to a script."""
    cases = []
    for i in range(count):
        rng = random.Random(f"{row} {seed} {i}")
        draw = np.random.default_rng([seed, len(row), i])
        script = change(rng, write_script(draw, beats(rng), all_held_out=all_held_out, speeds=speeds))
        chunks = tuple(text(rng, script, k) for k in range(len(script.actions)))
        truth = tuple(named_truth(script, k) for k in range(len(chunks)))
        cases.append(Case(row, i, seed * 1000 + i, chunks, truth, film(script)))
    return cases


def named_truth(script: Script, k: int) -> dict[str, str]:
    truth = script.truth(k)
    if {"grow", "shrink"} & set(script.actions[: k + 1]):
        truth.pop("size")
    return truth


def full_caption(rng: random.Random, script: Script, k: int) -> str:
    thing = (script.shape, script.colours[k], script.size, script.actions[k])
    truth = script.truth(k)
    return captions.full_caption(rng, [thing], script.background, truth["weather"], truth["camera"])


def changes_only(rng: random.Random, script: Script, k: int) -> ChunkSpec:
    """The full caption for chunk 0, else only what is new."""
    action = script.actions[k]
    if k == 0:
        return ChunkSpec(full_caption(rng, script, k))
    if script.colours[k] != script.colours[k - 1]:
        return ChunkSpec(captions.colour_change(rng, "it", script.colours[k]))
    if action != script.actions[k - 1]:
        return ChunkSpec(captions.action_change(rng, "it", action))
    return ChunkSpec(captions.action_repeat(rng, "it", action))


ROWS: dict[str, Callable[[int, int], list[Case]]] = {
    "single": single,
    "pair": pair,
    "swap": swap,
    "memory": memory,
    "image": image,
    "continuation": continuation,
    "shots": shots,
    "pace": pace,
    "camera": camera,
    "weather": weather,
    "wall": wall,
    "story": story,
    "long": long,
}
