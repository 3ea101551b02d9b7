"""The words of nano's world: what can be drawn, what it is called, and which combinations are held out of
training."""

from __future__ import annotations

import numpy as np

SIZE = 128  # pixels along one side of a clip
CHUNKS = 6
CHUNK_FRAMES = 24
FRAMES = CHUNKS * CHUNK_FRAMES

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (250, 215, 40),
    "green": (40, 170, 70),
    "cyan": (30, 200, 220),
    "blue": (45, 80, 230),
    "purple": (140, 50, 190),
    "pink": (250, 120, 190),
}
COLOUR_NAMES = tuple(COLOURS)
BACKGROUNDS = ("white", "gray", "black", "day", "night")
OUTDOORS = ("day", "night")  # backgrounds with ground and sky: the camera, the weather and shadows show there only
WEATHERS = ("clear", "rain", "snow")
CAMERA_MOVES = ("rest", "pan left", "pan right", "zoom in", "zoom out")
ACTIONS = ("left", "right", "up", "down", "still", "circle", "bounce", "grow", "shrink")
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
RADII = {"small": 20.0, "big": 29.0}  # radius of the circle of equal area
SIZE_BOUNDARY = 24.5  # radius between "small" and "big"
STYLES = ("plain", "3d", "anime")
SPEEDS = (0.5, 1.35)  # pixels a frame, of straight moves in training
USUAL_SPEEDS = (0.7, 1.1)  # of the evaluation's rows that do not ask about speed

# What reaches beyond the centre, in radii: left and right, top, bottom.
EXTENTS = {
    "circle": (1.0, 1.0, 1.0),
    "square": (0.886, 0.886, 0.886),
    "triangle": (1.3, 1.5, 0.75),
    "star": (1.33, 1.4, 1.14),
}

HELD_OUT_SEED = 77
HELD_OUT_TRIPLES = 48  # of 4 * 8 * 9 = 288


def held_out_triples() -> np.ndarray:
    """Boolean table [shapes, colours, actions]: True where no caption of the training clips names this
    combination."""
    total = len(SHAPES) * len(COLOURS) * len(ACTIONS)
    order = np.random.default_rng(HELD_OUT_SEED).permutation(total)
    table = np.zeros(total, dtype=bool)
    table[order[:HELD_OUT_TRIPLES]] = True
    return table.reshape(len(SHAPES), len(COLOURS), len(ACTIONS))
