"""Per-second captions: full ones, changes ("it turns blue") and continuations, each in several phrasings."""

from __future__ import annotations

import random

SHAPE_WORDS = {
    "circle": ("circle", "circle", "ball"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
}
SIZE_WORDS = {"small": ("small", "small", "little"), "big": ("big", "big", "large")}
# (finite verb, participle) pairs
ACTION_WORDS = {
    "left": (
        ("moves left", "moving left"),
        ("goes left", "going left"),
        ("moves to the left", "moving to the left"),
    ),
    "right": (
        ("moves right", "moving right"),
        ("goes right", "going right"),
        ("moves to the right", "moving to the right"),
    ),
    "up": (("moves up", "moving up"), ("goes up", "going up"), ("rises", "rising")),
    "down": (("moves down", "moving down"), ("goes down", "going down"), ("sinks", "sinking")),
    "still": (
        ("stays still", "staying still"),
        ("stands still", "standing still"),
        ("does not move", "not moving"),
    ),
    "circle": (
        ("goes around in circles", "going around in circles"),
        ("moves in a circle", "moving in a circle"),
        ("circles around", "circling around"),
    ),
    "bounce": (("bounces", "bouncing"), ("hops", "hopping"), ("jumps", "jumping")),
    "grow": (("grows", "growing"), ("gets bigger", "getting bigger")),
    "shrink": (("shrinks", "shrinking"), ("gets smaller", "getting smaller")),
}
BACKGROUND_WORDS = {
    "white": ("on a white background", "on white"),
    "gray": ("on a gray background", "on gray"),
    "black": ("on a black background", "on black"),
    "day": ("by day", "in the daytime", "under a day sky"),
    "night": ("at night", "under a night sky"),
}
BACKGROUND_CHANGES = {
    "white": ("the background turns white",),
    "gray": ("the background turns gray",),
    "black": ("the background turns black",),
    "day": ("day breaks", "it becomes day"),
    "night": ("night falls", "it becomes night"),
}
WEATHER_WORDS = {"rain": ("in the rain",), "snow": ("in the snow",)}
WEATHER_STARTS = {"rain": ("it starts to rain",), "snow": ("it starts to snow",)}
WEATHER_STOPS = {"rain": ("the rain stops",), "snow": ("the snow stops",)}
CAMERA_WORDS = {
    "rest": ("the camera stops", "the camera stays still"),
    "pan left": ("the camera pans left", "the camera pans to the left"),
    "pan right": ("the camera pans right", "the camera pans to the right"),
    "zoom in": ("the camera zooms in",),
    "zoom out": ("the camera zooms out",),
}
CONTINUATIONS = ("it keeps going", "nothing changes", "it continues")


def thing(rng: random.Random, shape: str, colour: str, size: str | None, article: str = "a") -> str:
    """A noun phrase such as "a big red circle"; `size` None leaves the size unsaid."""
    words = [rng.choice(SIZE_WORDS[size])] if size else []
    words += [colour, rng.choice(SHAPE_WORDS[shape])]
    if article == "a" and words[0][0] in "aeiou":
        article = "an"
    return " ".join([article, *words])


def full_caption(
    rng: random.Random,
    things: list[tuple[str, str, str | None, str]],
    background: str | None,
    weather: str = "clear",
    camera: str = "rest",
) -> str:
    """Everything about the scene. `things`: (shape, colour, size or None, action) per object. Clear weather and a
    camera at rest go unsaid."""
    participle = rng.random() < 0.3
    clauses = []
    for shape, colour, size, action in things:
        verb = rng.choice(ACTION_WORDS[action])[participle]
        clauses.append(f"{thing(rng, shape, colour, size)} {verb}")
    text = " and ".join(clauses)
    if weather != "clear":
        text = f"{text} {rng.choice(WEATHER_WORDS[weather])}"
    if background is not None:
        place = rng.choice(BACKGROUND_WORDS[background])
        text = f"{place}, {text}" if rng.random() < 0.2 else f"{text} {place}"
    if camera != "rest":
        text = f"{text}{rng.choice((', ', ' and '))}{camera_change(rng, camera)}"
    return text


def action_change(rng: random.Random, subject: str, action: str) -> str:
    """A caption that names only a new action."""
    if action == "still" and rng.random() < 0.6:
        return f"{subject} {rng.choice(('stops', 'stops moving'))}"
    return f"{subject} {rng.choice(ACTION_WORDS[action])[0]}"


def action_repeat(rng: random.Random, subject: str, action: str) -> str:
    """A caption saying that the action goes on."""
    if action != "still" and rng.random() < 0.5:
        return f"{subject} keeps {rng.choice(ACTION_WORDS[action])[1]}"
    return f"{subject} {rng.choice(ACTION_WORDS[action])[0]}"


def colour_change(rng: random.Random, subject: str, colour: str) -> str:
    """A caption that names only a new colour."""
    return f"{subject} {rng.choice(('turns', 'turns', 'becomes'))} {colour}"


def weather_change(rng: random.Random, before: str, after: str) -> str:
    """A caption that names only new weather; what begins is named before what ends."""
    return rng.choice(WEATHER_STOPS[before] if after == "clear" else WEATHER_STARTS[after])


def camera_change(rng: random.Random, camera: str) -> str:
    """A caption that names only what the camera does."""
    return rng.choice(CAMERA_WORDS[camera])


def subject_of(rng: random.Random, shape: str, alone: bool) -> str:
    """How a change caption refers to the main object: "it" where that is clear, its shape otherwise."""
    if alone and rng.random() < 0.7:
        return "it"
    return f"the {rng.choice(SHAPE_WORDS[shape])}"


def vocabulary() -> list[str]:
    """Every word (and mark) the captions can contain, sorted: the tokenizer's words."""
    from tools.nano.vocabulary import COLOUR_NAMES

    phrases: list[str] = list(COLOUR_NAMES) + list(CONTINUATIONS) + ["a", "an", "the", "and", ",", ".", "it", "keeps"]
    phrases += ["stops", "stops moving", "turns", "becomes"]
    weather, camera = (WEATHER_WORDS, WEATHER_STARTS, WEATHER_STOPS), (CAMERA_WORDS,)
    for table in (SHAPE_WORDS, SIZE_WORDS, BACKGROUND_WORDS, BACKGROUND_CHANGES, *weather, *camera):
        phrases += [phrase for options in table.values() for phrase in options]
    phrases += [verb for options in ACTION_WORDS.values() for pair in options for verb in pair]
    return sorted({word for phrase in phrases for word in phrase.split()})
