"""Scenes to pixels: batched drawing in PyTorch, any subset of frames of any clips, on any device."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.nano.scenery import (
    OVERCAST,
    RAIN_COLOUR,
    SNOW_COLOUR,
    looks,
    paint_scenery,
    shadow,
)
from tools.nano.scenes import Scenes
from tools.nano.vocabulary import BACKGROUNDS, CHUNK_FRAMES, COLOURS, FRAMES, SIZE, WEATHERS
from tools.nano.wear import WAVES, Wear

SQUARE_HALF = 0.886  # every shape's area is that of a circle of the same radius, within 10%
TRIANGLE_RADIUS = 1.5
STAR_RADIUS, STAR_WAIST = 1.4, 0.55
BORDER = 10
COLOUR_TURN = (4, 8)  # first frame and length of a colour change within its chunk: whole latent frames
BACKGROUND_TURN = (1, 14)
FADE_IN_FRAMES = 10


@dataclass(frozen=True, eq=False)
class Sheet:
    """Everything needed to draw any frame of N clips, as tensors on one device.

    objects [N, 144, 2, 3] x, y, radius; colours [N, 144, 2, 3] 0..1; look [N, 144, 18] and view [N, 144, 2] as
    `paint_scenery` takes them; weather [N, 144, 2] strength of rain and snow; light [N, 144] brightness of the picture
    (fading in); flags [N, 7] as `FLAGS` lists.
    """

    objects: Tensor
    colours: Tensor
    shapes: Tensor
    look: Tensor
    view: Tensor
    weather: Tensor
    light: Tensor
    flags: Tensor

    def __len__(self) -> int:
        return len(self.objects)

    def of(self, clip: Tensor) -> Sheet:
        """The rows of these clips."""
        return Sheet(**{f.name: getattr(self, f.name)[clip] for f in fields(self)})

    def to(self, device: torch.device | str) -> Sheet:
        return Sheet(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


FLAGS = ("second", "3d", "anime", "border", "bar", "logo", "degraded")


def make_sheet(scenes: Scenes, device: torch.device | str = "cpu") -> Sheet:
    """Drawing instructions for `scenes`."""
    palette = np.array(list(COLOURS.values()), dtype=np.float32) / 255
    chunk = np.arange(FRAMES) // CHUNK_FRAMES
    within = np.arange(FRAMES) % CHUNK_FRAMES
    turn = np.clip((within - COLOUR_TURN[0]) / COLOUR_TURN[1], 0, 1)[None, None, :, None]
    colours = (1 - turn) * palette[scenes.colour_from[:, :, chunk]] + turn * palette[scenes.colour_to[:, :, chunk]]
    blend = np.clip((within - BACKGROUND_TURN[0]) / BACKGROUND_TURN[1], 0, 1)[None, :, None]
    table = looks().numpy()
    look = (1 - blend) * table[scenes.background_from[:, chunk]] + blend * table[scenes.background_to[:, chunk]]
    kinds = np.eye(len(WEATHERS))[:, 1:]
    weather = (1 - blend) * kinds[scenes.weather_from[:, chunk]] + blend * kinds[scenes.weather_to[:, chunk]]
    light = np.where(scenes.fade_in[:, None], np.clip(np.arange(FRAMES) / FADE_IN_FRAMES, 0, 1)[None], 1.0)
    flags = np.stack(
        [
            scenes.second,
            scenes.style == 1,
            scenes.style == 2,
            scenes.border,
            scenes.bar,
            scenes.logo,
            scenes.degraded,
        ],
        axis=1,
    )
    arrays = {
        "objects": scenes.path.transpose(0, 2, 1, 3),
        "colours": colours.transpose(0, 2, 1, 3),
        "shapes": scenes.shape,
        "look": look,
        "view": scenes.view,
        "weather": weather,
        "light": light,
        "flags": flags,
    }
    integer = {"shapes"}
    return Sheet(
        **{
            name: torch.as_tensor(
                np.array(value),
                dtype=torch.long if name in integer else torch.float32,
                device=device,
            )
            for name, value in arrays.items()
        }
    )


def background_images(device: torch.device | str = "cpu") -> Tensor:
    """[backgrounds, 3, 128, 128] in 0..1, in clear weather, with the camera where a clip begins."""
    return paint_scenery(looks(device), torch.tensor([0.0, 1.0], device=device).expand(len(BACKGROUNDS), 2))


def shape_distances(x: Tensor, y: Tensor, r: Tensor) -> list[Tensor]:
    """Signed distance in pixels (about; negative inside) to circle, square, triangle and star centred on
    0."""
    circle = torch.hypot(x, y) - r
    square = torch.maximum(x.abs(), y.abs()) - SQUARE_HALF * r
    slope = math.sqrt(0.75)
    inradius = TRIANGLE_RADIUS * r / 2
    triangle = torch.maximum(y, slope * x.abs() - 0.5 * y) - inradius
    fifth = 2 * math.pi / 5
    angle = torch.remainder(torch.atan2(x, -y) + fifth / 2, fifth) - fifth / 2
    reach = torch.hypot(x, y)
    along, across = reach * angle.cos(), reach * angle.abs().sin()
    tip = STAR_RADIUS * r
    waist_x = tip * STAR_WAIST * math.cos(fifth / 2)
    waist_y = tip * STAR_WAIST * math.sin(fifth / 2)
    edge = torch.hypot(tip - waist_x, waist_y)
    star = ((along - tip) * waist_y + across * (tip - waist_x)) / edge
    return [circle, square, triangle, star]


def draw(sheet: Sheet, falling: tuple[Tensor, Tensor], clip: Tensor, frame: Tensor, wear: Wear | None = None) -> Tensor:
    """Frames in [-1, 1], [B, 3, T, 128, 128] float32: clip [B], frame [B, T] indices; `falling`: `weather_covers`.
    wear: of all clips, if their objects are to show it."""
    at = (clip[:, None], frame)
    axis = torch.arange(SIZE, device=clip.device, dtype=torch.float32) + 0.5
    grid_y, grid_x = axis[:, None], axis[None, :]
    objects, colours = sheet.objects[at], sheet.colours[at]
    flags = sheet.flags[clip]
    video = _surroundings(sheet, falling, clip, frame)
    shaded, outlined = (flags[:, i, None, None, None] for i in (1, 2))
    for which in (1, 0):  # the main object lies on top
        x0, y0, r = (objects[..., which, i, None, None] for i in range(3))
        x, y = grid_x - x0, grid_y - y0
        shape = sheet.shapes[clip, which][:, None, None, None]
        distances = shape_distances(x, y, r)
        distance = _chosen(distances, shape)
        if wear is not None:
            distance = _worn(distance, distances, x, y, r, wear, clip, which)
        cover = (0.5 - distance).clamp(0, 1)
        if which == 1:
            cover = cover * flags[:, 0, None, None, None]
        highlight = 0.6 + 0.7 * torch.exp(-((x + 0.35 * r) ** 2 + (y + 0.35 * r) ** 2) / (0.6 * r**2))
        tone = (1 - shaded) + shaded * highlight
        tone = tone * (1 - 0.85 * outlined * (distance + 3).clamp(0, 1))
        paint = (colours[..., which, :, None, None] * tone[:, :, None]).clamp(0, 1)
        video = video + cover[:, :, None] * (paint - video)
    video = video * sheet.light[at][..., None, None, None]
    video = _marks(video, flags, grid_x, grid_y)
    return video.transpose(1, 2) * 2 - 1


def _chosen(distances: list[Tensor], shape: Tensor) -> Tensor:
    """Of the distances to all shapes that to `shape`, which broadcasts to them."""
    distance = torch.zeros_like(distances[0])
    for index, candidate in enumerate(distances):
        distance = torch.where(shape == index, candidate, distance)
    return distance


def _worn(
    distance: Tensor,
    distances: list[Tensor],
    x: Tensor,
    y: Tensor,
    r: Tensor,
    wear: Wear,
    clip: Tensor,
    which: int,
) -> Tensor:
    """Distances to a worn outline, on its way to another shape, with waves, in edge widths."""
    shape, morph, edge = (part[clip, which][:, None, None, None] for part in (wear.shape, wear.morph, wear.edge))
    distance = torch.lerp(distance, _chosen(distances, shape), morph)
    angle = torch.atan2(y, x)
    for i, waves in enumerate(WAVES):
        bulge, phase = (part[clip, which, i][:, None, None, None] for part in (wear.bulge, wear.phase))
        distance = distance - bulge * r * torch.cos(waves * angle + phase)
    return distance / edge


def _surroundings(sheet: Sheet, falling: tuple[Tensor, Tensor], clip: Tensor, frame: Tensor) -> Tensor:
    """[B, T, 3, 128, 128]: scenery, shadows and weather, which all lie behind the objects."""
    at = (clip[:, None], frame)
    look, weather, objects = sheet.look[at], sheet.weather[at], sheet.objects[at]
    outside = look[..., 17, None, None]
    dark = shadow(*objects[..., 0, :].unbind(-1))
    second = sheet.flags[clip][:, 0, None, None, None]
    dark = torch.maximum(dark, second * shadow(*objects[..., 1, :].unbind(-1)))
    video = paint_scenery(look, sheet.view[at]) * (1 - outside * dark)[:, :, None]
    falls = (weather * outside[..., 0])[..., None, None, None]
    video = video * (1 - (1 - OVERCAST) * falls.sum(2))
    for kind, (covers, colour) in enumerate(zip(falling, (RAIN_COLOUR, SNOW_COLOUR), strict=True)):
        cover = 0.8 * falls[:, :, kind] * covers[frame % len(covers)][:, :, None]
        paint = torch.tensor(colour, device=video.device, dtype=video.dtype)[:, None, None] / 255
        video = video + cover * (paint - video)
    return video


def _marks(video: Tensor, flags: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Black border, caption bar, logo; then blur and low contrast on degraded clips."""
    near = torch.minimum(torch.minimum(x, SIZE - x), torch.minimum(y, SIZE - y)) < BORDER
    border, bar, logo, degraded = (flags[:, i, None, None, None, None] for i in (3, 4, 5, 6))
    video = video * (1 - border * near.float())
    inside = ((y > 108) & (y < 118) & (x > 14) & (x < 114)).float()
    letters = inside * ((torch.remainder(x, 8) < 5) & (y > 110) & (y < 116)).float()
    video = video + bar * (inside * (0.08 - video) + letters * 0.85)
    stamp = ((x > 108) & (x < 122) & (y > 6) & (y < 20)).float()
    hole = ((x > 112) & (x < 118) & (y > 10) & (y < 16)).float()
    video = video + logo * (stamp - hole) * (0.95 - video)
    small = F.avg_pool2d(video.flatten(0, 1), 6, stride=4, padding=1, count_include_pad=False)
    blurred = F.interpolate(small, size=(SIZE, SIZE), mode="bilinear").view_as(video)
    return video + degraded * (0.65 * blurred + 0.17 - video)


def to_uint8(video: Tensor) -> Tensor:
    """[B, T, 128, 128, 3] uint8 from [B, 3, T, 128, 128] in [-1, 1]."""
    return ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1)
