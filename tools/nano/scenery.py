"""Ground, sky and weather: what lies behind the objects, seen by a camera that pans and zooms.

Two layers make the parallax: the ground, and behind it hills, clouds and stars at half its speed. Studio backgrounds
(white, gray, black) are the same on every layer, so neither the camera nor the weather shows on them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tools.nano.vocabulary import BACKGROUNDS, SIZE

HORIZON = 100  # row where the ground begins; zooming leaves it where it is
PERIOD = 256.0  # pixels of panning after which the scenery is the same again
BACK_SPEED = 0.5  # of hills, clouds and stars against the ground's
BACK_WIDTH, STRIPE_WIDTH = 128.0, 32.0  # after which the layers repeat
CLOUDS = ((24, 26, 7), (34, 22, 9), (44, 27, 7), (88, 43, 5), (97, 39, 7), (106, 44, 5))  # x, y, radius
STARS = ((9, 14), (22, 60), (31, 33), (40, 8), (52, 47), (63, 20), (72, 68), (81, 36), (93, 12), (104, 55), (118, 27))
STAR_RADIUS = 1.6
OVERCAST = 0.8  # brightness of a scene in full rain or snow
SHADOW_ROW, SHADOW_HEIGHT, SHADOW = 113.0, 4.0, 0.13

RAIN_PERIOD, RAIN_STEP = 32, 8  # pixels, and pixels a frame: every latent frame of four sees the same rain
SNOW_PERIOD, SNOW_STEP = 64, 2
RAIN_COLOUR, SNOW_COLOUR = (70, 110, 190), (250, 250, 255)

Colour = tuple[int, int, int]


def _flat(colour: Colour) -> tuple[Colour, ...]:
    return (colour,) * 5


# per background: top of the sky, its bottom, hills, ground, its stripes; then shares of clouds, stars and an outside
LOOKS: dict[str, tuple[tuple[Colour, ...], tuple[float, float, float]]] = {
    "white": (_flat((240, 240, 240)), (0, 0, 0)),
    "gray": (_flat((130, 130, 135)), (0, 0, 0)),
    "black": (_flat((18, 18, 20)), (0, 0, 0)),
    "day": (
        ((150, 195, 235), (205, 225, 240), (165, 200, 180), (150, 190, 130), (137, 180, 117)),
        (1, 0, 1),
    ),
    "night": (((20, 24, 60), (40, 45, 90), (20, 34, 50), (30, 50, 45), (38, 60, 53)), (0, 1, 1)),
}


def looks(device: torch.device | str = "cpu") -> Tensor:
    """[backgrounds, 18]: five colours in 0..1, then the shares of clouds, stars and an outside."""
    rows = [
        [*(c / 255 for colour in colours for c in colour), *shares]
        for colours, shares in (LOOKS[n] for n in BACKGROUNDS)
    ]
    return torch.tensor(rows, dtype=torch.float32, device=device)


def paint_scenery(look: Tensor, view: Tensor, stride: int = 1) -> Tensor:
    """[..., 3, 128, 128] in 0..1; every `stride`-th pixel of it.

    look [..., 18]: a row of `looks`, or between two of them. view [..., 2]: how far the camera has panned to the right,
    in pixels of the ground, and its zoom.
    """
    axis = torch.arange(0, SIZE, stride, device=look.device, dtype=torch.float32) + 0.5
    pan, zoom = view[..., 0, None, None], view[..., 1, None, None]
    x = SIZE / 2 + (axis - SIZE / 2) / zoom
    y = HORIZON + (axis[:, None] - HORIZON) / zoom
    top, bottom, hills, ground, stripes = (look[..., 3 * i : 3 * i + 3, None, None] for i in range(5))
    cloudy, starry = (look[..., i, None, None, None] for i in (15, 16))
    back = torch.remainder(x + BACK_SPEED * pan, BACK_WIDTH)
    fall = (axis[:, None] / SIZE).expand(-1, len(axis))
    picture = top + (bottom - top) * fall
    picture = picture + cloudy * _spots(back, y, CLOUDS)[..., None, :, :] * (0.97 - picture)
    stars = tuple((cx, cy, STAR_RADIUS) for cx, cy in STARS)
    picture = picture + starry * _spots(back, y, stars)[..., None, :, :] * (0.85 - picture)
    turn = 2 * math.pi / BACK_WIDTH
    height = 13 + 6 * torch.sin(turn * back) + 3 * torch.sin(2 * turn * back + 1.3)
    hill = (y - (HORIZON - height) + 0.5).clamp(0, 1)[..., None, :, :]
    picture = picture + hill * (hills - picture)
    across = torch.remainder(x + pan + 0.6 * (y - HORIZON), STRIPE_WIDTH)
    stripe = (STRIPE_WIDTH / 4 - (across - STRIPE_WIDTH / 2).abs() + 0.5).clamp(0, 1)[..., None, :, :]
    floor = ground + stripe * (stripes - ground)
    return torch.where((axis >= HORIZON)[:, None], floor, picture)


def _spots(x: Tensor, y: Tensor, spots: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Cover 0..1 of discs on the back layer, which repeats sideways."""
    cover = torch.zeros_like(x + y)
    for cx, cy, radius in spots:
        aside = torch.remainder(x - cx + BACK_WIDTH / 2, BACK_WIDTH) - BACK_WIDTH / 2
        cover = torch.maximum(cover, (radius + 0.5 - torch.hypot(aside, y - cy)).clamp(0, 1))
    return cover


def shadow(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """[..., 128, 128]: how much of the ground's light an object at x, y takes; less the higher it is."""
    axis = torch.arange(SIZE, device=x.device, dtype=torch.float32) + 0.5
    x, y, radius = (value[..., None, None] for value in (x, y, radius))
    near = (1 - (SHADOW_ROW - y - radius) / 90).clamp(0.35, 1)
    reach = torch.hypot((axis - x) / (0.95 * radius), (axis[:, None] - SHADOW_ROW) / SHADOW_HEIGHT)
    return SHADOW * near * ((1.15 - reach) / 0.3).clamp(0, 1)


def weather_covers(device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Cover 0..1 of rain [4, 128, 128] and snow [32, 128, 128], one picture per frame until they repeat."""
    rain = _falling(np.random.default_rng(11), RAIN_PERIOD, RAIN_STEP, 7, (1.1, 5.0))
    snow = _falling(np.random.default_rng(12), SNOW_PERIOD, SNOW_STEP, 9, (2.3, 2.3))
    return rain.to(device), snow.to(device)


def _falling(rng: np.random.Generator, period: int, step: int, count: int, radii: tuple[float, float]) -> Tensor:
    """Soft ellipses (radii: across, along) in a tile 64 wide and `period` high, one picture per phase of their fall."""
    columns = (np.arange(count) + rng.random(count) * 0.8) * 64 / count
    rows = rng.permutation(count) * period / count
    axis = torch.arange(SIZE, dtype=torch.float32) + 0.5
    pictures = []
    for phase in range(period // step):
        cover = torch.zeros(SIZE, SIZE)
        for cx, cy in zip(columns, rows, strict=True):
            dx = torch.remainder(axis - cx + 32, 64) - 32
            dy = torch.remainder(axis[:, None] - cy - phase * step + period / 2, period) - period / 2
            reach = torch.hypot(dx / radii[0], dy / radii[1])
            cover = torch.maximum(cover, ((1.3 - reach) / 0.6).clamp(0, 1))
        pictures.append(cover)
    return torch.stack(pictures)
