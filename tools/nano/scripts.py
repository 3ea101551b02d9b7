"""Short films by script: which object does what in each second, so that the same script can be drawn and generated.

Every script fits the world: an action is written only where the drawn object has the room for it, as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tools.nano.motion import DIRECTION_TABLE, allowed_actions, bounds, move
from tools.nano.render import draw, make_sheet, to_uint8
from tools.nano.scenery import weather_covers
from tools.nano.scenes import Scenes, film_from, sample_scenes
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CAMERA_MOVES,
    CHUNK_FRAMES,
    CHUNKS,
    COLOUR_NAMES,
    DIRECTIONS,
    RADII,
    SHAPES,
    USUAL_SPEEDS,
    WEATHERS,
    held_out_triples,
)

ROOM = 18.0  # pixels ahead that a script asks for before a straight move
LASTING_ROOM = 30.0  # the same where no wall may be met within the second
KEEPS_SIZE = tuple(action for action in ACTIONS if action not in ("grow", "shrink"))


@dataclass(frozen=True)
class Script:
    """One object's film. colours and actions: one per chunk. start: x, y, radius in pixels; speed in pixels a frame.
    weathers and cameras: one per chunk; empty: clear, and at rest."""

    shape: str
    size: str
    background: str
    colours: tuple[str, ...]
    actions: tuple[str, ...]
    start: tuple[float, float, float]
    speed: float
    weathers: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()

    def truth(self, chunk: int) -> dict[str, str]:
        """Attribute -> word of what chunk `chunk` shows."""
        return {
            "colour": self.colours[chunk],
            "shape": self.shape,
            "size": self.size,
            "background": self.background,
            "motion": self.actions[chunk],
            "weather": self.weathers[chunk] if self.weathers else "clear",
            "camera": self.cameras[chunk] if self.cameras else "rest",
        }


def write_script(
    rng: np.random.Generator,
    beats: Sequence[str],
    *,
    all_held_out: bool = False,
    speeds: tuple[float, float] = USUAL_SPEEDS,
) -> Script:
    """A random script with one chunk per beat, whose first shape, colour and action training never named together.

    A beat is "new" (another action than before), "same" (the action goes on), "recolour" (it goes on, in another
    colour), "straight" (a new straight move that meets no wall), or the name of an action. Grow and shrink occur by
    name only. Starts are drawn again until every beat fits. all_held_out: no chunk's combination was named in training.
    """
    while True:
        script = _try_script(rng, beats, len(beats) if all_held_out else 1, speeds)
        if script is not None:
            return script


def _try_script(
    rng: np.random.Generator, beats: Sequence[str], held_out: int, speeds: tuple[float, float]
) -> Script | None:
    shape, size = int(rng.integers(len(SHAPES))), str(rng.choice(list(RADII)))
    speed, radius = float(rng.uniform(*speeds)), RADII[size] + float(rng.uniform(-1, 1))
    low_x, high_x, low_y, high_y = (float(b[0]) for b in bounds(np.array([shape]), np.array([radius])))
    start = (float(rng.uniform(low_x, high_x)), float(rng.uniform(low_y, high_y)), radius)
    state, action, turned = np.array([start]), "", False
    colours, actions = [str(rng.choice(COLOUR_NAMES))], []
    unnamed = held_out_triples()[shape, COLOUR_NAMES.index(colours[0])]
    for k, beat in enumerate(beats):
        room = max(LASTING_ROOM, speeds[1] * CHUNK_FRAMES + 2) if "straight" in beats else ROOM
        fitting = allowed_actions(np.array([shape]), state, np.array([True]), room)[0]
        allowed = [name for name, fits in zip(ACTIONS, fitting, strict=True) if fits]
        if beat in ("same", "recolour"):
            choice = [] if turned else [action]
        elif beat in ACTIONS:
            choice = [beat]
        else:
            choice = [name for name in (DIRECTIONS if beat == "straight" else KEEPS_SIZE) if name != action]
        choice = [name for name in choice if name in allowed and (k >= held_out or unnamed[ACTIONS.index(name)])]
        if not choice:
            return None
        action = str(rng.choice(choice))
        others = [name for name in COLOUR_NAMES if name != colours[-1]]
        colours += [] if k == 0 else [str(rng.choice(others)) if beat == "recolour" else colours[-1]]
        actions.append(action)
        path, turned = _move(action, shape, state, speed)
        state = path[-1:]
    background = str(rng.choice(BACKGROUNDS))
    return Script(SHAPES[shape], size, background, tuple(colours), tuple(actions), start, speed)


def _move(action: str, shape: int, state: np.ndarray, speed: float) -> tuple[np.ndarray, bool]:
    """Path [24, 3] of one chunk from state [1, 3], and whether a wall turned the object round."""
    index = np.array([ACTIONS.index(action)])
    heading = DIRECTION_TABLE[index]
    time = np.arange(1, CHUNK_FRAMES + 1, dtype=np.float64)[None]
    path, after = move(index, heading, np.array([speed]), np.array([shape]), state, time)
    return path[0], bool((after != heading).any())


@lru_cache(maxsize=1)
def _any_clip() -> Scenes:
    return sample_scenes(1, 0, plain=True, alone=True)


def film(script: Script) -> Scenes:
    """The script as one drawn clip; of six chunks at most; after its last one the object rests."""
    shape, state = SHAPES.index(script.shape), np.array([script.start])
    resting = CHUNKS - len(script.actions)
    actions = [*script.actions, *["still"] * resting]
    paths = []
    for action in actions:
        path, _ = _move(action, shape, state, script.speed)
        paths.append(path)
        state = path[-1:]
    clip, path = _any_clip(), np.zeros((1, 2, CHUNKS * CHUNK_FRAMES, 3), dtype=np.float32)
    path[0, :] = np.concatenate(paths)
    colours = [COLOUR_NAMES.index(c) for c in (*script.colours, *script.colours[-1:] * resting)]
    background = np.full((1, CHUNKS), BACKGROUNDS.index(script.background))
    weather = [WEATHERS.index(w) for w in script.weathers or ("clear",) * len(script.actions)]
    weather += weather[-1:] * resting
    camera = [CAMERA_MOVES.index(c) for c in script.cameras] + [0] * (CHUNKS - len(script.cameras))
    return replace(
        clip,
        shape=np.full((1, 2), shape),
        path=path,
        colour_from=np.array([[[colours[0], *colours[:-1]]] * 2]),
        colour_to=np.array([[colours] * 2]),
        background_from=background,
        background_to=background,
        weather_from=np.array([[weather[0], *weather[:-1]]]),
        weather_to=np.array([weather]),
        camera=np.array([camera]),
        view=filmed(camera)[None],
        action=np.array([[[ACTIONS.index(action) for action in actions]] * 2]),
    )


def filmed(camera: Sequence[int]) -> np.ndarray:
    """[144, 2]: pan and zoom in every frame of a clip with these moves."""
    start, views = np.array([[0.0, 1.0]]), []
    for move_of_chunk in camera:
        time = np.arange(1, CHUNK_FRAMES + 1, dtype=np.float64)[None]
        views.append(film_from(start, np.array([move_of_chunk]), time)[0])
        start = views[-1][-1:]
    return np.concatenate(views).astype(np.float32)


def clip_of(scenes: Scenes, index: int) -> Scenes:
    """One clip of `scenes`, as N = 1."""
    return Scenes(**{field.name: getattr(scenes, field.name)[index : index + 1] for field in fields(Scenes)})


def drawn_frames(clip: Scenes, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first `count` frames [count, 128, 128, 3] uint8 of a single drawn clip, drawn on `device`, on the CPU."""
    frame, only = torch.arange(count, device=device)[None], torch.zeros(1, dtype=torch.long, device=device)
    return to_uint8(draw(make_sheet(clip, device), weather_covers(device), only, frame))[0].cpu()
