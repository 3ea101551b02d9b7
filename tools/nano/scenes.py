"""What happens in each clip: six seconds of actions, colour and background changes, with a caption per
second.

Deterministic by seed, vectorised over clips on the CPU; `render` turns the result into pixels.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np

from tools.nano import captions
from tools.nano.motion import (
    DIRECTION_TABLE,
    allowed_actions,
    bounds,
    choose,
    chunk_time,
    move,
    travel_direction,
)
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CHUNK_FRAMES,
    CHUNKS,
    COLOUR_NAMES,
    DIRECTIONS,
    FRAMES,
    RADII,
    SHAPES,
    SIZE,
    SIZE_BOUNDARY,
    STYLES,
    held_out_triples,
)

# what is new in a chunk: nothing, the action, the colour, the background
REPEAT, ACT, RECOLOUR, REPAINT = range(4)
EVENT_WEIGHTS = (0.30, 0.45, 0.18, 0.07)
SECOND_OBJECT_SHARE = 0.2
NEW_SHOT_SHARE = 0.2  # of later chunks: the same things, the object at another place
ACTION_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.1, 1.1, 1.0, 0.8, 0.8])
SECOND_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True, eq=False)
class Scenes:
    """N clips. Object 0 is the main one; object 1 exists where `second`. Per-chunk arrays are [N, 6] or [N,
    2, 6].

    path [N, 2, 144, 3]: x, y, radius. colour_from/to, background_from/to: indices at the start and the end of
    a chunk.
    action: what each object does. Marks (border, bar, logo, fade_in), style, degraded, hold and settle are
    per clip.
    captions: N lists of 6. event: what is new in a chunk; full: whether its caption describes everything.
    new_shot [N, 6]: the object starts the chunk at another place than where it was.
    """

    shape: np.ndarray
    second: np.ndarray
    path: np.ndarray
    colour_from: np.ndarray
    colour_to: np.ndarray
    background_from: np.ndarray
    background_to: np.ndarray
    action: np.ndarray
    event: np.ndarray
    full: np.ndarray
    new_shot: np.ndarray
    style: np.ndarray
    border: np.ndarray
    bar: np.ndarray
    logo: np.ndarray
    fade_in: np.ndarray
    degraded: np.ndarray
    hold: np.ndarray
    settle: np.ndarray
    captions: list[list[str]]

    def __len__(self) -> int:
        return len(self.shape)


def sample_scenes(count: int, seed: int, *, plain: bool = False, held_out: bool = False, alone: bool = False) -> Scenes:
    """`count` clips. plain: no marks, styles, degradations, holds or settling. held_out: chunk 0 uses a
    held-out triple (otherwise no caption ever does). alone: no second objects."""
    rng, shots = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 3])
    table = held_out_triples()
    n = count
    shape = np.stack([rng.integers(0, len(SHAPES), n), np.zeros(n, dtype=int)], axis=1)
    shape[:, 1] = (shape[:, 0] + rng.integers(1, len(SHAPES), n)) % len(SHAPES)
    colour = np.zeros((n, 2), dtype=int)
    colour[:, 0] = rng.integers(0, len(COLOUR_NAMES), n)
    colour[:, 1] = (colour[:, 0] + rng.integers(1, len(COLOUR_NAMES), n)) % len(COLOUR_NAMES)
    background = rng.integers(0, len(BACKGROUNDS), n)
    second = (rng.random(n) < SECOND_OBJECT_SHARE) & (not alone)
    marks = {name: (rng.random(n) < share) & (not plain) for name, share in MARK_SHARES.items()}
    style = np.where(plain, 0, rng.choice(len(STYLES), n, p=(0.9, 0.05, 0.05)))

    radius = rng.choice(list(RADII.values()), size=(n, 2))
    two_big = (radius > SIZE_BOUNDARY).all(axis=1)  # they would hide each other
    radius[two_big, 1] = RADII["small"]
    radius += rng.uniform(-1, 1, (n, 2))
    speed = rng.uniform(0.7, 1.1, (n, 2))
    state = np.zeros((n, 2, 3))
    state[..., 2] = radius
    low_x, high_x, low_y, high_y = bounds(shape, radius)
    state[..., 0] = low_x + (high_x - low_x) * rng.random((n, 2))
    state[..., 1] = low_y + (high_y - low_y) * rng.random((n, 2))
    _separate(rng, state, shape)
    heading = np.zeros((n, 2, 2))

    path = np.zeros((n, 2, FRAMES, 3))
    per_object = ("colour_from", "colour_to", "action")
    per_clip = ("background_from", "background_to", "event", "new_shot")
    per_chunk = {name: np.zeros((n, 2, CHUNKS), dtype=int) for name in per_object}
    per_chunk |= {name: np.zeros((n, CHUNKS), dtype=int) for name in per_clip}
    size_at = np.zeros((n, 2, CHUNKS))
    fitting = allowed_actions(shape[:, 1], state[:, 1], np.ones(n, bool))
    second_action = choose(rng, _sayable(fitting, table[shape[:, 1], colour[:, 1]]), SECOND_WEIGHTS)
    heading[:, 1] = DIRECTION_TABLE[second_action]
    action = np.zeros(n, dtype=int)

    for k in range(CHUNKS):
        event = np.full(n, ACT) if k == 0 else rng.choice(4, n, p=EVENT_WEIGHTS)
        new_shot = (shots.random(n) < NEW_SHOT_SHARE) & (k > 0) & (not plain)
        state[:, 0, :2] = np.where(new_shot[:, None], _elsewhere(shots, state, shape), state[:, 0, :2])
        event = np.where(new_shot, ACT, event)
        per_chunk["new_shot"][:, k] = new_shot
        allowed = allowed_actions(shape[:, 0], state[:, 0], rng.random(n) < 0.85)
        going_on = np.where(action < 4, True, np.take_along_axis(allowed, action[:, None], axis=1)[:, 0])
        named_now = np.where(action < 4, travel_direction(heading[:, 0]), action)
        wanted = table[shape[:, 0], colour[:, 0]]
        if held_out and k == 0:
            colour[:, 0], allowed = _force_held_out(rng, table, shape[:, 0], colour[:, 0], allowed)
            colour[:, 1] = np.where(colour[:, 1] == colour[:, 0], (colour[:, 0] + 1) % len(COLOUR_NAMES), colour[:, 1])
        elif not held_out:
            allowed = _sayable(allowed, wanted)
        event = np.where(~going_on & (event != ACT), ACT, event)
        if k > 0:
            others = allowed.copy()  # a new action, mostly a different one
            others[np.arange(n), named_now] &= rng.random(n) < 0.15
            allowed = np.where(others.any(axis=1, keepdims=True), others, allowed)
        fresh = choose(rng, allowed, ACTION_WEIGHTS)
        acts = event == ACT
        heading[:, 0] = np.where(acts[:, None], DIRECTION_TABLE[fresh], heading[:, 0])
        action = np.where(acts, fresh, action)
        action = np.where(action < 4, travel_direction(heading[:, 0]), action)

        new_colour = _new_colour(rng, table, shape[:, 0], colour, action)
        recolours = (event == RECOLOUR) & (new_colour != colour[:, 0])
        event = np.where((event == RECOLOUR) & ~recolours, REPEAT, event)
        new_background = (background + rng.integers(1, len(BACKGROUNDS), n)) % len(BACKGROUNDS)
        after = np.where(recolours, new_colour, colour[:, 0])
        per_chunk["colour_from"][:, :, k] = colour
        per_chunk["background_from"][:, k] = background
        colour = np.stack([after, colour[:, 1]], axis=1)
        background = np.where(event == REPAINT, new_background, background)
        per_chunk["colour_to"][:, :, k] = colour
        per_chunk["background_to"][:, k] = background
        per_chunk["event"][:, k] = event
        size_at[:, :, k] = state[..., 2]

        second_now = np.where(second_action < 4, travel_direction(heading[:, 1]), second_action)
        for which, acting in ((0, action), (1, second_now)):
            per_chunk["action"][:, which, k] = acting
            time = chunk_time(marks["hold"] & (k == 0), marks["settle"] & (k == CHUNKS - 1))
            frames, heading[:, which] = move(
                acting, heading[:, which], speed[:, which], shape[:, which], state[:, which], time
            )
            path[:, which, k * CHUNK_FRAMES : (k + 1) * CHUNK_FRAMES] = frames
            state[:, which] = frames[:, -1]

    named = table[shape[:, :, None], per_chunk["colour_to"], per_chunk["action"]]
    named[:, 1] &= second[:, None]
    new_shot = per_chunk.pop("new_shot").astype(bool)
    words, full = _write_captions(seed, shape, second, size_at, named.any(axis=1), **per_chunk)
    return Scenes(
        shape=shape,
        second=second,
        path=path.astype(np.float32),
        style=style,
        captions=words,
        full=full,
        new_shot=new_shot,
        **per_chunk,
        **marks,
    )


def with_other_things(scenes: Scenes, seed: int) -> Scenes:
    """The same films, in which the first object has another colour and most often another shape, size and
    background."""
    rng = np.random.default_rng([seed, 4])

    def other(values: np.ndarray, kinds: int, share: float) -> np.ndarray:
        step = rng.integers(1, kinds, len(values)) * (rng.random(len(values)) < share)
        return (values + step.reshape(-1, *[1] * (values.ndim - 1))) % kinds

    colours = other(np.stack([scenes.colour_from[:, 0], scenes.colour_to[:, 0]], 1), len(COLOUR_NAMES), 1.0)
    backgrounds = other(np.stack([scenes.background_from, scenes.background_to], 1), len(BACKGROUNDS), 0.6)
    path, begins = scenes.path.copy(), scenes.path[:, 0, 0, 2]
    larger = RADII["big"] / RADII["small"]
    factor = np.where(begins < SIZE_BOUNDARY, larger, 1 / larger)
    path[:, 0, :, 2] *= np.where(rng.random(len(factor)) < 0.6, factor, 1.0)[:, None].astype(path.dtype)
    return replace(
        scenes,
        path=path,
        shape=np.stack([other(scenes.shape[:, 0], len(SHAPES), 0.8), scenes.shape[:, 1]], 1),
        colour_from=np.stack([colours[:, 0], scenes.colour_from[:, 1]], 1),
        colour_to=np.stack([colours[:, 1], scenes.colour_to[:, 1]], 1),
        background_from=backgrounds[:, 0],
        background_to=backgrounds[:, 1],
    )


MARK_SHARES = {
    "border": 0.03,
    "bar": 0.03,
    "logo": 0.03,
    "fade_in": 0.03,
    "degraded": 0.08,
    "hold": 0.05,
    "settle": 0.25,
}


def _separate(rng: np.random.Generator, state: np.ndarray, shape: np.ndarray) -> None:
    """Move second objects away from the first ones where they would start on top of each other, in place."""
    low_x, high_x, low_y, high_y = bounds(shape[:, 1], state[:, 1, 2])
    for _ in range(20):
        gap = np.hypot(*(state[:, 0, :2] - state[:, 1, :2]).T)
        close = gap < 1.2 * (state[:, 0, 2] + state[:, 1, 2])
        fresh = np.stack(
            [
                low_x + (high_x - low_x) * rng.random(len(gap)),
                low_y + (high_y - low_y) * rng.random(len(gap)),
            ],
            axis=1,
        )
        state[:, 1, :2] = np.where(close[:, None], fresh, state[:, 1, :2])


def _elsewhere(rng: np.random.Generator, state: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Another place [N, 2] for the first object, at least a third of the picture away where there is one."""
    low_x, high_x, low_y, high_y = bounds(shape[:, 0], state[:, 0, 2])
    low, room = np.stack([low_x, low_y], axis=1), np.stack([high_x - low_x, high_y - low_y], axis=1)
    tries = low + room * rng.random((12, len(state), 2))
    far = np.hypot(*np.moveaxis(tries - state[:, 0, :2], 2, 0)) >= SIZE / 3
    return tries[far.argmax(axis=0), np.arange(len(state))]


def _sayable(allowed: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Of the `allowed` actions [N, 9] those that are not `held_out`; where none is left, all that fit
    anywhere."""
    anywhere = np.isin(np.arange(len(ACTIONS)), [ACTIONS.index(a) for a in ("still", *DIRECTIONS)])
    left = allowed & ~held_out
    return np.where(left.any(axis=1, keepdims=True), left, anywhere & ~held_out)


def _force_held_out(
    rng: np.random.Generator, table: np.ndarray, shape: np.ndarray, colour: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A colour for each row such that some allowed action makes a held-out triple, and those actions."""
    possible = table[shape] & allowed[:, None]  # [N, colours, actions]
    some = possible.any(axis=2)
    colour = np.where(some.any(axis=1), choose(rng, some, np.ones(some.shape[1])), colour)
    chosen = possible[np.arange(len(shape)), colour]
    return colour, np.where(chosen.any(axis=1, keepdims=True), chosen, allowed)


def _new_colour(
    rng: np.random.Generator, table: np.ndarray, shape: np.ndarray, colour: np.ndarray, action: np.ndarray
) -> np.ndarray:
    """A colour other than both objects' whose triple is not held out; the old one where there is none."""
    allowed = ~table[shape, :, action]
    rows = np.arange(len(shape))
    allowed[rows, colour[:, 0]] = False
    allowed[rows, colour[:, 1]] = False
    fresh = choose(rng, allowed, np.ones(allowed.shape[1]))
    return np.where(allowed.any(axis=1), fresh, colour[:, 0])


def _write_captions(
    seed: int,
    shape: np.ndarray,
    second: np.ndarray,
    size_at: np.ndarray,
    held_out: np.ndarray,
    **chunk: np.ndarray,
) -> tuple[list[list[str]], np.ndarray]:
    """Captions and which of them are full ones. held_out [N, 6]: a full caption would name a held-out triple
    (walls turn objects round), so it names a change only; chunk 0 always says everything."""
    rng = random.Random(f"captions {seed}")
    full = np.zeros((len(shape), CHUNKS), dtype=bool)
    texts = []
    for i in range(len(shape)):
        clip = []
        for k in range(CHUNKS):
            event = chunk["event"][i, k]
            share = 0.3 if event in (RECOLOUR, REPAINT) else 0.45
            full[i, k] = k == 0 or (rng.random() < share and not held_out[i, k])
            if full[i, k]:
                clip.append(_full(rng, i, k, shape, second, size_at, chunk))
            else:
                clip.append(_change(rng, i, k, event, shape, second, chunk))
        texts.append(clip)
    return texts, full


def size_name(radius: float) -> str | None:
    """The word for a radius, or None where neither "small" nor "big" would be clear."""
    if abs(radius - SIZE_BOUNDARY) < 1.5:
        return None
    return "small" if radius < SIZE_BOUNDARY else "big"


def _full(rng, i, k, shape, second, size_at, chunk) -> str:
    things = []
    for which in range(2 if second[i] else 1):
        size = size_name(size_at[i, which, k]) if rng.random() < 0.9 else None
        things.append(
            (
                SHAPES[shape[i, which]],
                COLOUR_NAMES[chunk["colour_to"][i, which, k]],
                size,
                ACTIONS[chunk["action"][i, which, k]],
            )
        )
    background = BACKGROUNDS[chunk["background_to"][i, k]] if rng.random() < 0.85 else None
    if chunk["event"][i, k] == REPAINT:
        background = BACKGROUNDS[chunk["background_to"][i, k]]
    return captions.full_caption(rng, things, background)


def _change(rng, i, k, event, shape, second, chunk) -> str:
    subject = captions.subject_of(rng, SHAPES[shape[i, 0]], not second[i])
    action = ACTIONS[chunk["action"][i, 0, k]]
    if event == RECOLOUR:
        return captions.colour_change(rng, subject, COLOUR_NAMES[chunk["colour_to"][i, 0, k]])
    if event == REPAINT:
        return rng.choice(captions.BACKGROUND_CHANGES[BACKGROUNDS[chunk["background_to"][i, k]]])
    if event == REPEAT:
        if rng.random() < 0.35:
            return rng.choice(captions.CONTINUATIONS)
        return captions.action_repeat(rng, subject, action)
    return captions.action_change(rng, subject, action)
