"""What happens in each clip: six seconds of actions, colour and background changes, with a caption per
second.

Deterministic by seed, vectorised over clips on the CPU; `render` turns the result into pixels.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace

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
    CAMERA_MOVES,
    CHUNK_FRAMES,
    CHUNKS,
    COLOUR_NAMES,
    DIRECTIONS,
    FRAMES,
    OUTDOORS,
    RADII,
    SHAPES,
    SIZE,
    SIZE_BOUNDARY,
    SPEEDS,
    STYLES,
    WEATHERS,
    held_out_triples,
)

# what is new in a chunk: nothing, the action, the colour, the background; the camera's move, the weather
REPEAT, ACT, RECOLOUR, REPAINT, FILM, WEATHER = range(6)
EVENT_WEIGHTS = (0.22, 0.36, 0.18, 0.24)
PLAIN_WEIGHTS = (0.28, 0.42, 0.20, 0.10)
OTHER_TIME_SHARE = 0.5  # of new backgrounds outdoors: night falls, day breaks
FILM_SHARE, WEATHER_SHARE = 0.18, 0.12  # of later chunks outdoors, in place of the other events
OUTDOOR_SHARE = 0.3  # of clips that are outdoors beyond those that chance puts there
RAINY_START, FILMED_START = 0.3, 0.2  # of clips that begin outdoors
SECOND_OBJECT_SHARE = 0.38
NEW_SHOT_SHARE = 0.2  # of later chunks: the same things, the object at another place
ACTION_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.1, 1.1, 1.0, 0.8, 0.8])
SECOND_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.6, 1.0, 1.0, 0.0, 0.0])
OUTSIDE = np.array([name in OUTDOORS for name in BACKGROUNDS])
OTHER_TIME = np.array([BACKGROUNDS.index(OUTDOORS[name == OUTDOORS[0]]) for name in BACKGROUNDS])
CAMERA = {name: i for i, name in enumerate(CAMERA_MOVES)}
CLEAR = WEATHERS.index("clear")
PAN_SPEED = 1.2  # pixels of the ground a frame
NEAR = 1.35  # zoom after zooming in, of 1 before


@dataclass(frozen=True, eq=False)
class Scenes:
    """N clips. Object 0 is the main one; object 1 exists where `second`. Per-chunk arrays are [N, 6] or [N,
    2, 6].

    path [N, 2, 144, 3]: x, y, radius. colour_from/to, background_from/to, weather_from/to: indices at the start and the
    end of a chunk. camera [N, 6]: index of its move; view [N, 144, 2]: how far it has panned, and its zoom.
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
    weather_from: np.ndarray
    weather_to: np.ndarray
    camera: np.ndarray
    view: np.ndarray
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

    def of(self, clips: np.ndarray) -> Scenes:
        """Only these clips."""
        arrays = {f.name: getattr(self, f.name)[clips] for f in fields(self) if f.name != "captions"}
        return Scenes(**arrays, captions=[self.captions[i] for i in clips])


def sample_scenes(count: int, seed: int, *, plain: bool = False, held_out: bool = False, alone: bool = False) -> Scenes:
    """`count` clips. plain: no marks, styles, degradations, holds or settling; the camera rests in clear weather.
    held_out: chunk 0 uses a held-out triple (otherwise no caption ever does). alone: no second objects."""
    rng, shots, sky = (np.random.default_rng([seed, stream]) for stream in (1, 3, 5))
    table = held_out_triples()
    n = count
    shape = np.stack([rng.integers(0, len(SHAPES), n), np.zeros(n, dtype=int)], axis=1)
    shape[:, 1] = (shape[:, 0] + rng.integers(1, len(SHAPES), n)) % len(SHAPES)
    colour = np.zeros((n, 2), dtype=int)
    colour[:, 0] = rng.integers(0, len(COLOUR_NAMES), n)
    colour[:, 1] = (colour[:, 0] + rng.integers(1, len(COLOUR_NAMES), n)) % len(COLOUR_NAMES)
    background = rng.integers(0, len(BACKGROUNDS), n)
    goes_out = (sky.random(n) < OUTDOOR_SHARE) & (not plain)
    background = np.where(goes_out, sky.choice(np.flatnonzero(OUTSIDE), n), background)
    second = (rng.random(n) < SECOND_OBJECT_SHARE) & (not alone)
    marks = {name: (rng.random(n) < share) & (not plain) for name, share in MARK_SHARES.items()}
    style = np.where(plain, 0, rng.choice(len(STYLES), n, p=(0.9, 0.05, 0.05)))

    radius = rng.choice(list(RADII.values()), size=(n, 2))
    two_big = (radius > SIZE_BOUNDARY).all(axis=1)  # they would hide each other
    radius[two_big, 1] = RADII["small"]
    radius += rng.uniform(-1, 1, (n, 2))
    speed = rng.uniform(*SPEEDS, (n, 2))
    state = np.zeros((n, 2, 3))
    state[..., 2] = radius
    low_x, high_x, low_y, high_y = bounds(shape, radius)
    state[..., 0] = low_x + (high_x - low_x) * rng.random((n, 2))
    state[..., 1] = low_y + (high_y - low_y) * rng.random((n, 2))
    _separate(rng, state, shape)
    heading = np.zeros((n, 2, 2))

    path = np.zeros((n, 2, FRAMES, 3))
    per_object = ("colour_from", "colour_to", "action")
    per_clip = ("background_from", "background_to", "weather_from", "weather_to", "camera", "event", "new_shot")
    per_chunk = {name: np.zeros((n, 2, CHUNKS), dtype=int) for name in per_object}
    per_chunk |= {name: np.zeros((n, CHUNKS), dtype=int) for name in per_clip}
    size_at = np.zeros((n, 2, CHUNKS))
    fitting = allowed_actions(shape[:, 1], state[:, 1], np.ones(n, bool))
    second_action = choose(rng, _sayable(fitting, table[shape[:, 1], colour[:, 1]]), SECOND_WEIGHTS)
    heading[:, 1] = DIRECTION_TABLE[second_action]
    action = np.zeros(n, dtype=int)
    open_air = OUTSIDE[background] & (not plain)
    weather = np.where(open_air & (sky.random(n) < RAINY_START), sky.integers(1, len(WEATHERS), n), CLEAR)
    camera, view = np.zeros(n, dtype=int), np.zeros((n, FRAMES, 2))
    seen_from = np.tile([0.0, 1.0], (n, 1))

    for k in range(CHUNKS):
        event = np.full(n, ACT) if k == 0 else rng.choice(4, n, p=PLAIN_WEIGHTS if plain else EVENT_WEIGHTS)
        event = _outdoor_event(sky, event, OUTSIDE[background] & (k > 0) & (not plain))
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
        turns = OUTSIDE[background] & (sky.random(n) < OTHER_TIME_SHARE) & (not plain)
        new_background = np.where(turns, OTHER_TIME[background], new_background)
        after = np.where(recolours, new_colour, colour[:, 0])
        per_chunk["colour_from"][:, :, k] = colour
        per_chunk["background_from"][:, k] = background
        colour = np.stack([after, colour[:, 1]], axis=1)
        background = np.where(event == REPAINT, new_background, background)
        per_chunk["weather_from"][:, k] = weather
        weather = np.where(event == WEATHER, _new_weather(sky, weather), weather)
        weather = np.where(OUTSIDE[background], weather, CLEAR)
        per_chunk["weather_to"][:, k] = weather
        begins = open_air & (sky.random(n) < FILMED_START) & (k == 0)
        camera = np.where((event == FILM) | begins, _new_move(sky, camera, seen_from, begins), _goes_on(camera))
        camera = np.where(OUTSIDE[background], camera, CAMERA["rest"])
        per_chunk["camera"][:, k] = camera
        per_chunk["colour_to"][:, :, k] = colour
        per_chunk["background_to"][:, k] = background
        per_chunk["event"][:, k] = event
        size_at[:, :, k] = state[..., 2]

        second_now = np.where(second_action < 4, travel_direction(heading[:, 1]), second_action)
        time = chunk_time(marks["hold"] & (k == 0), marks["settle"] & (k == CHUNKS - 1))
        view[:, k * CHUNK_FRAMES : (k + 1) * CHUNK_FRAMES] = film_from(seen_from, camera, time)
        seen_from = np.where(OUTSIDE[background][:, None], view[:, (k + 1) * CHUNK_FRAMES - 1], [0.0, 1.0])
        for which, acting in ((0, action), (1, second_now)):
            per_chunk["action"][:, which, k] = acting
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
        view=view.astype(np.float32),
        style=style,
        captions=words,
        full=full,
        new_shot=new_shot,
        **per_chunk,
        **marks,
    )


def film_from(start: np.ndarray, camera: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Pan and zoom [N, 24, 2] in a chunk of these moves [N], from `start` [N, 2], at `time` [N, 24]."""
    pans = np.where(camera == CAMERA["pan right"], 1.0, np.where(camera == CAMERA["pan left"], -1.0, 0.0))
    pan = start[:, :1] + PAN_SPEED * pans[:, None] * time
    begins = start[:, 1:]
    ends = np.where(camera == CAMERA["zoom in"], NEAR, np.where(camera == CAMERA["zoom out"], 1.0, start[:, 1]))
    zoom = begins * (ends[:, None] / begins) ** (time / CHUNK_FRAMES)
    return np.stack([pan, zoom], axis=2)


def _outdoor_event(rng: np.random.Generator, event: np.ndarray, outdoors: np.ndarray) -> np.ndarray:
    """The events with some of those outdoors replaced by the camera's and the weather's."""
    pick = rng.random(len(event))
    event = np.where(outdoors & (pick < FILM_SHARE), FILM, event)
    return np.where(outdoors & (pick > 1 - WEATHER_SHARE), WEATHER, event)


def _new_weather(rng: np.random.Generator, weather: np.ndarray) -> np.ndarray:
    """Rain or snow where it is clear; where it is not, mostly clear weather, else the other kind."""
    falls = rng.integers(1, len(WEATHERS), len(weather))
    return np.where(weather == CLEAR, falls, np.where(rng.random(len(weather)) < 0.7, CLEAR, 3 - weather))


def _goes_on(camera: np.ndarray) -> np.ndarray:
    """What the camera does in the next chunk if nothing is said: pans go on, zooms end."""
    return np.where(camera >= CAMERA["zoom in"], CAMERA["rest"], camera)


def _new_move(rng: np.random.Generator, camera: np.ndarray, seen_from: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Another move than the one under way: a pan, the zoom that there is room for, or, of a pan, its end."""
    near = seen_from[:, 1] > (1 + NEAR) / 2
    zoom = np.where(near, CAMERA["zoom out"], CAMERA["zoom in"])
    other_pan = np.where(camera == CAMERA["pan left"], CAMERA["pan right"], CAMERA["pan left"])
    either_pan = np.where(rng.random(len(camera)) < 0.5, CAMERA["pan left"], CAMERA["pan right"])
    pans = np.isin(camera, (CAMERA["pan left"], CAMERA["pan right"])) & ~begins
    pick = rng.random(len(camera))
    panning = np.where(pick < 0.55, CAMERA["rest"], np.where(pick < 0.8, other_pan, zoom))
    return np.where(pans, panning, np.where(pick < 0.6, either_pan, zoom))


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
            share = 0.45 if event in (REPEAT, ACT) else 0.3
            rests = chunk["camera"][i, k] == CAMERA["rest"], chunk["weather_to"][i, k] == CLEAR
            if (event == FILM and rests[0]) or (event == WEATHER and rests[1]):
                share = 0.0  # what ends goes unsaid in a full caption
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
    weather, camera = (WEATHERS[chunk["weather_to"][i, k]], CAMERA_MOVES[chunk["camera"][i, k]])
    return captions.full_caption(rng, things, background, weather, camera)


def _change(rng, i, k, event, shape, second, chunk) -> str:
    subject = captions.subject_of(rng, SHAPES[shape[i, 0]], not second[i])
    action = ACTIONS[chunk["action"][i, 0, k]]
    if event == RECOLOUR:
        return captions.colour_change(rng, subject, COLOUR_NAMES[chunk["colour_to"][i, 0, k]])
    if event == REPAINT:
        return rng.choice(captions.BACKGROUND_CHANGES[BACKGROUNDS[chunk["background_to"][i, k]]])
    if event == FILM:
        return captions.camera_change(rng, CAMERA_MOVES[chunk["camera"][i, k]])
    if event == WEATHER:
        before, after = (WEATHERS[chunk[name][i, k]] for name in ("weather_from", "weather_to"))
        return captions.weather_change(rng, before, after)
    if event == REPEAT:
        if rng.random() < 0.35:
            return rng.choice(captions.CONTINUATIONS)
        return captions.action_repeat(rng, subject, action)
    return captions.action_change(rng, subject, action)
