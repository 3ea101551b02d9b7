"""Where an object goes within one chunk: closed-form paths for all actions, vectorised over clips."""

from __future__ import annotations

import numpy as np

from tools.nano.vocabulary import ACTIONS, CHUNK_FRAMES, DIRECTIONS, EXTENTS, SHAPES, SIZE

ORBIT_RADIUS = 12.0
HOP_HEIGHT = 14.0
HOP_FRAMES = 12
GROWTH, SHRINKAGE = 0.35, 0.25  # relative change of the radius over a chunk
LARGEST_GROWING, SMALLEST_SHRINKING = 30.1, 18.9
HOLD_FRAMES = 8  # "static first frames": this long nothing moves
SETTLE_FRAMES = 10  # "last second of the video": over this many frames everything comes to rest

EXTENT_TABLE = np.array([EXTENTS[s] for s in SHAPES])
DIRECTION_TABLE = np.array([DIRECTIONS.get(a, (0.0, 0.0)) for a in ACTIONS])
A = {name: i for i, name in enumerate(ACTIONS)}


def bounds(shape: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest centre (x0, x1, y0, y1) that keeps a shape of this radius inside the picture."""
    side, top, bottom = (EXTENT_TABLE[shape, i] for i in range(3))
    shape_of = (...,) + (None,) * (radius.ndim - shape.ndim)
    side, top, bottom = side[shape_of] * radius, top[shape_of] * radius, bottom[shape_of] * radius
    return side + 1, SIZE - 1 - side, top + 1, SIZE - 1 - bottom


def reflect(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position after bouncing between two walls, and the sign of the velocity there."""
    span = np.maximum(high - low, 1e-3)
    phase = np.mod(x - low, 2 * span)
    back = phase > span
    return low + np.where(back, 2 * span - phase, phase), np.where(back, -1.0, 1.0)


def chunk_time(hold: np.ndarray, settle: np.ndarray) -> np.ndarray:
    """Elapsed time [N, 24] at each frame, in frames at full speed, counted from the chunk before's last
    frame."""
    t = np.arange(1, CHUNK_FRAMES + 1, dtype=np.float64)[None]
    held = np.maximum(t - HOLD_FRAMES, 0.0)
    start = CHUNK_FRAMES - SETTLE_FRAMES
    late = np.clip(t - start, 0.0, SETTLE_FRAMES)
    settled = np.minimum(t, start) + late - late**2 / (2 * SETTLE_FRAMES)
    return np.where(hold[:, None], held, np.where(settle[:, None], settled, t))


def move(
    action: np.ndarray,
    heading: np.ndarray,
    speed: np.ndarray,
    shape: np.ndarray,
    start: np.ndarray,
    time: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Path [N, 24, 3] (x, y, radius) and heading [N, 2] after the chunk.

    action [N], heading [N, 2] (unit vector of directional actions), speed [N] pixels a frame, start [N, 3],
    time [N, 24].
    """
    x0, y0, r0 = (start[:, i, None] for i in range(3))
    fraction = time / CHUNK_FRAMES
    directional = (action < 4)[:, None]
    x = x0 + np.where(directional, heading[:, :1] * speed[:, None] * time, 0.0)
    y = y0 + np.where(directional, heading[:, 1:] * speed[:, None] * time, 0.0)
    u = np.mod(time, HOP_FRAMES) / HOP_FRAMES
    y = np.where((action == A["bounce"])[:, None], y0 - HOP_HEIGHT * 4 * u * (1 - u), y)
    angle = 2 * np.pi * fraction
    side = np.where(y0 > SIZE / 2, 1.0, -1.0)  # clockwise, around a centre on the roomier side
    orbits = (action == A["circle"])[:, None]
    x = np.where(orbits, x0 - side * ORBIT_RADIUS * np.sin(angle), x)
    y = np.where(orbits, y0 - side * ORBIT_RADIUS * (1 - np.cos(angle)), y)
    growth = np.where(action == A["grow"], GROWTH, np.where(action == A["shrink"], -SHRINKAGE, 0.0))
    radius = r0 * (1 + growth[:, None] * fraction)
    low_x, high_x, low_y, high_y = bounds(shape, radius)
    x, sign_x = reflect(x, low_x, high_x)
    y, sign_y = reflect(y, low_y, high_y)
    turned = heading * np.where(directional, np.stack([sign_x[:, -1], sign_y[:, -1]], axis=1), 1.0)
    return np.stack([x, y, radius], axis=2), turned


def allowed_actions(shape: np.ndarray, start: np.ndarray, roomy: np.ndarray, travel: float = 18.0) -> np.ndarray:
    """Boolean [N, 9]: actions that fit from here. `roomy` [N]: directional actions also need `travel` pixels
    of room."""
    low_x, high_x, low_y, high_y = bounds(shape, start[:, 2])
    x, y, r = start.T
    need = np.where(roomy, travel, 4.0)
    ok = np.ones((len(x), len(ACTIONS)), dtype=bool)
    ok[:, A["left"]] = x - low_x > need
    ok[:, A["right"]] = high_x - x > need
    ok[:, A["up"]] = y - low_y > need
    ok[:, A["down"]] = high_y - y > need
    ok[:, A["bounce"]] = y - low_y > HOP_HEIGHT
    inward = np.where(y > SIZE / 2, y - low_y, high_y - y)
    ok[:, A["circle"]] = (inward > 2 * ORBIT_RADIUS) & (x - low_x > ORBIT_RADIUS) & (high_x - x > ORBIT_RADIUS)
    ok[:, A["grow"]] = r < LARGEST_GROWING
    ok[:, A["shrink"]] = r > SMALLEST_SHRINKING
    return ok


def choose(rng: np.random.Generator, allowed: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One allowed column per row, at random by `weights` [columns] or [rows, columns]."""
    scores = np.where(allowed, weights, 0.0) + 1e-9 * allowed
    cumulative = np.cumsum(scores, axis=1)
    pick = rng.random((len(allowed), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative < pick).sum(axis=1), allowed.shape[1] - 1)


def travel_direction(heading: np.ndarray) -> np.ndarray:
    """Index of the directional action that a heading [N, 2] points to."""
    return np.argmax(heading @ DIRECTION_TABLE[:4].T, axis=1)
