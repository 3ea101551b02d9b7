"""What a long run makes of its objects, drawn on purpose, so that training can show the way back.

A generated history is not a drawn one: outlines, colours and sizes wear off a little in every second, and straight
moves are shown at a middle speed before the history says which. All of this is drawn here from the same scripts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from tools.nano.motion import DIRECTION_TABLE, chunk_time, move
from tools.nano.scenes import Scenes
from tools.nano.vocabulary import CHUNK_FRAMES, CHUNKS, COLOURS, SHAPES, SPEEDS

MOST_MORPH = 0.42  # of the way to another shape; from half of it on nothing would tell which one it was
MOST_LOST = 0.85  # the same of a chunk that reads, from a finished one, which shape it is
MOST_BULGE = 0.08  # of the radius, of each wave in an outline
BLURRED_EDGE = 4.0  # pixels, at most
MOST_TINT = 0.3  # of the way to another colour
MOST_SWELLING = 0.13  # of the radius, either way; a small object is not half of the way to a big one with it
WAVES = (2, 3, 4, 6, 8)  # around an outline


@dataclass(frozen=True, eq=False)
class Wear:
    """Of N clips' two objects: the shape [N, 2] an outline is on its way to and how far, the width of its edge in
    pixels, and its waves [N, 2, 5] as amplitudes in radii and phases."""

    shape: Tensor
    morph: Tensor
    edge: Tensor
    bulge: Tensor
    phase: Tensor

    def of(self, clip: Tensor) -> Wear:
        """The rows of these clips."""
        return Wear(**{f.name: getattr(self, f.name)[clip] for f in fields(self)})


def sample_wear(scenes: Scenes, seed: int, device: torch.device, morph: float = MOST_MORPH) -> Wear:
    """Some wear for every object, from none to the most, `morph` of the way to another shape. Each shape is as often on
    its way to any other as the other way round, so that what lies between two is no more the one than the other."""
    rng, n = np.random.default_rng([seed, 6]), len(scenes)
    some = rng.random((n, 2, 1))
    parts = {
        "shape": (scenes.shape + rng.integers(1, len(SHAPES), (n, 2))) % len(SHAPES),
        "morph": morph * rng.random((n, 2)),
        "edge": 1 + (BLURRED_EDGE - 1) * rng.random((n, 2)) ** 2,
        "bulge": MOST_BULGE * some * rng.random((n, 2, len(WAVES))),
        "phase": 2 * np.pi * rng.random((n, 2, len(WAVES))),
    }
    kinds = {name: torch.long if name == "shape" else torch.float32 for name in parts}
    return Wear(**{name: torch.as_tensor(value, dtype=kinds[name], device=device) for name, value in parts.items()})


def tinted(colours: Tensor, seed: int) -> Tensor:
    """Colours [N, T, 2, 3] of which each object's have moved some way to another one of the palette."""
    rng, n = np.random.default_rng([seed, 7]), len(colours)
    palette = torch.tensor(list(COLOURS.values()), device=colours.device) / 255
    towards = palette[torch.from_numpy(rng.integers(0, len(palette), (n, 2))).to(colours.device)]
    share = torch.from_numpy(MOST_TINT * rng.random((n, 1, 2, 1))).to(colours)
    return torch.lerp(colours, towards[:, None].to(colours), share)


def at_other_speeds(scenes: Scenes, seed: int) -> Scenes:
    """The same films, in which every second goes on from where the drawn one before ended, at a speed of its own.
    Seconds that begin elsewhere, and first ones, keep their paths."""
    rng, n = np.random.default_rng([seed, 8]), len(scenes)
    path = scenes.path.astype(np.float64)
    result = path.copy()
    for k in range(1, CHUNKS):
        frames = slice(k * CHUNK_FRAMES, (k + 1) * CHUNK_FRAMES)
        for which in (0, 1):
            moved = _going_on(scenes, path, which, k, rng.uniform(*SPEEDS, n))
            stays = scenes.new_shot[:, k] & (which == 0)
            result[:, which, frames] = np.where(stays[:, None, None], result[:, which, frames], moved)
    return replace(scenes, path=result.astype(np.float32))


def lingering(scenes: Scenes, seed: int) -> Scenes:
    """The same films, in which new shots go on from where the shot before ended."""
    rng, path = np.random.default_rng([seed, 10]), scenes.path.astype(np.float64)
    for k in range(1, CHUNKS):
        frames = slice(k * CHUNK_FRAMES, (k + 1) * CHUNK_FRAMES)
        moved = _going_on(scenes, scenes.path, 0, k, rng.uniform(*SPEEDS, len(scenes)))
        path[:, 0, frames] = np.where(scenes.new_shot[:, k, None, None], moved, path[:, 0, frames])
    return replace(scenes, path=path.astype(np.float32))


def _going_on(scenes: Scenes, path: np.ndarray, which: int, k: int, speed: np.ndarray) -> np.ndarray:
    """The path [N, 24, 3] of an object in second `k` from where second k - 1 of `path` left it."""
    time = chunk_time(np.zeros(len(scenes), bool), scenes.settle & (k == CHUNKS - 1))
    action, start = scenes.action[:, which, k], path[:, which, k * CHUNK_FRAMES - 1]
    return move(action, DIRECTION_TABLE[action], speed, scenes.shape[:, which], start, time)[0]


def swollen(scenes: Scenes, seed: int) -> Scenes:
    """The same films with each object a little larger or smaller."""
    path = scenes.path.copy()
    path[..., 2] *= 1 + MOST_SWELLING * np.random.default_rng([seed, 9]).uniform(-1, 1, (len(scenes), 2, 1))
    return replace(scenes, path=path)
