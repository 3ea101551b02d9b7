"""A classical reader of nano videos: background matching, soft masks, centroid tracking and template overlap.

No learning anywhere, so it can judge the model. Its ceiling is measured on drawn clips (`evaluate
--ceiling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.nano.motion import HOP_FRAMES
from tools.nano.render import shape_distances
from tools.nano.surroundings import Surroundings, look_around
from tools.nano.vocabulary import BACKGROUNDS, COLOUR_NAMES, COLOURS, SHAPES, SIZE, SIZE_BOUNDARY

MASK_FLOOR, MASK_RANGE = (
    0.14,
    0.12,
)  # difference from the background where the soft mask leaves 0, and its ramp
RIM = 4  # pixels at the edge of an object that are not its inside
SMALLEST_AREA = 60.0  # pixels; less than this is "no object"
STILL_RANGE = 5.0  # pixels of movement that still count as standing still
GROWN, SHRUNK = 1.17, 0.86


@dataclass(frozen=True, eq=False)
class Track:
    """One object over time. centre [T, 2] and radius [T] in pixels (NaN where nothing is seen), what is around it,
    colour votes [8] (area per colour name), shape scores [4] (template overlap)."""

    centre: Tensor
    radius: Tensor
    around: Surroundings
    colour_votes: Tensor
    shape_scores: Tensor

    @property
    def seen(self) -> bool:
        return bool(torch.isfinite(self.radius).float().mean() > 0.8)

    @property
    def colour(self) -> str:
        return COLOUR_NAMES[int(self.colour_votes.argmax())]

    @property
    def shape(self) -> str:
        return SHAPES[int(self.shape_scores.argmax())]

    @property
    def size(self) -> str:
        return "small" if float(self.radius.nanmedian()) < SIZE_BOUNDARY else "big"

    @property
    def background_name(self) -> str:
        return BACKGROUNDS[self.around.background]


def palette() -> Tensor:
    return torch.tensor(list(COLOURS.values()), dtype=torch.float32) / 255


def soft_mask(frames: Tensor, scenery: Tensor, weather: str = "clear") -> Tensor:
    """[T, H, W] in 0..1: how much each pixel of `frames` [T, H, W, 3] differs from the scenery; specks are removed,
    in rain and snow larger ones."""
    difference = (frames - scenery).abs().amax(-1)
    mask = ((difference - MASK_FLOOR) / MASK_RANGE).clamp(0, 1)
    size, share = (5, 0.45) if weather == "clear" else (9, 0.36)
    around = F.avg_pool2d(mask[:, None], size, stride=1, padding=size // 2)[:, 0]
    return mask * (around > share).float()


def colour_share(frames: Tensor) -> Tensor:
    """[T, H, W, 8]: one-hot of the palette colour nearest to each pixel."""
    colours = palette().to(frames.device)
    distance = colours.square().sum(-1) - 2 * frames @ colours.T  # plus what all colours have in common
    return F.one_hot(distance.argmin(-1), len(COLOUR_NAMES)).float()


def measure(frames: Tensor, colour: str | None = None, background: int | None = None) -> Track:
    """Track the object in `frames` [T, 128, 128, 3] uint8 of one chunk.

    colour: follow only what is nearest to this colour (needed when two objects are there).
    """
    picture = frames.float() / 255
    around = look_around(picture, background)
    mask = soft_mask(picture, around.picture(), around.weather)
    votes = (mask[::2, ..., None] * colour_share(picture[::2])).sum((0, 1, 2))
    if colour is not None:
        mask = mask * colour_share(picture)[..., COLOUR_NAMES.index(colour)]
    area = mask.sum((1, 2))
    axis = torch.arange(SIZE, device=frames.device) + 0.5
    x = (mask.sum(1) * axis).sum(1) / area.clamp(min=1)
    y = (mask.sum(2) * axis).sum(1) / area.clamp(min=1)
    centre = torch.stack([x, y], dim=1)
    radius = (area / torch.pi).sqrt()
    lost = area < SMALLEST_AREA
    centre[lost], radius[lost] = torch.nan, torch.nan
    scores = shape_overlap(mask[::4], centre[::4], radius[::4])
    return Track(centre, radius, around, votes, scores)


def shape_overlap(mask: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Soft intersection over union of the mask with each shape drawn at its place and size, best of nearby
    fits: [4]."""
    keep = torch.isfinite(radius)
    if not keep.any():
        return torch.zeros(len(SHAPES))
    mask, centre, radius = mask[keep], centre[keep], radius[keep]
    axis = torch.arange(SIZE, device=mask.device) + 0.5
    best = torch.zeros(len(mask), len(SHAPES), device=mask.device)
    for shift in (-2.0, 0.0, 2.0):
        for scale in (0.95, 1.02, 1.09):
            x = axis[None, None, :] - centre[:, 0, None, None]
            y = axis[None, :, None] - centre[:, 1, None, None] - shift
            distances = shape_distances(x, y, (radius * scale)[:, None, None])
            for index, distance in enumerate(distances):
                template = (0.5 - distance).clamp(0, 1)
                overlap = torch.minimum(mask, template).sum((1, 2)) / torch.maximum(mask, template).sum((1, 2))
                best[:, index] = torch.maximum(best[:, index], overlap)
    return best.mean(0).cpu()


def action_of(track: Track) -> str:
    """The action seen in one chunk of 24 frames, one of the nine actions; "lost" where the object is not
    seen."""
    keep = torch.isfinite(track.radius)
    if keep.float().mean() < 0.8:
        return "lost"
    time = torch.arange(len(keep))[keep.cpu()]
    x, y = track.centre[keep].cpu().double().T
    radius = track.radius[keep].cpu().double()
    growth = radius[-4:].mean() / radius[:4].mean()
    if growth > GROWN:
        return "grow"
    if growth < SHRUNK:
        return "shrink"
    if circles(x, y):
        return "circle"
    if hops(time, x, y):
        return "bounce"
    if max(x.max() - x.min(), y.max() - y.min()) < STILL_RANGE:
        return "still"
    return direction_of(x, y)


def circles(x: Tensor, y: Tensor) -> bool:
    """Whether the path goes around most of a circle about its middle."""
    middle = torch.stack([(x.max() + x.min()) / 2, (y.max() + y.min()) / 2])
    dx, dy = x - middle[0], y - middle[1]
    reach = torch.hypot(dx, dy)
    if min(x.max() - x.min(), y.max() - y.min()) < 9 or reach.std() / reach.mean() > 0.35:
        return False
    angle = torch.atan2(dy, dx)
    step = torch.remainder(angle.diff() + torch.pi, 2 * torch.pi) - torch.pi
    return bool(step.sum().abs() > 1.2 * torch.pi)


def hops(time: Tensor, x: Tensor, y: Tensor) -> bool:
    """Whether the height follows two hops a chunk while the object stays at its place sideways."""
    u = torch.remainder(time.double() + 1, HOP_FRAMES) / HOP_FRAMES
    wave = 4 * u * (1 - u)
    height = -(y - y.mean())
    wave = wave - wave.mean()
    if height.std() < 1.5:
        return False
    agreement = (wave * height).mean() / (wave.std(unbiased=False) * height.std(unbiased=False))
    return bool(agreement > 0.7 and x.max() - x.min() < 9)


def direction_of(x: Tensor, y: Tensor) -> str:
    """The direction set out in: the first stretch long enough to tell, before a wall turns the object
    round."""
    for until in (8, 12, 16, len(x) - 1):
        until = min(until, len(x) - 1)
        dx, dy = float(x[until] - x[0]), float(y[until] - y[0])
        if max(abs(dx), abs(dy)) > 4.0:
            break
    if abs(dx) >= abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def sharpness(frames: Tensor) -> float:
    """Steepness of the steepest hundredth of all pixel steps in `frames` [T, 128, 128, 3] uint8: 0 flat, 1 at most."""
    picture = frames.float() / 255
    steps = torch.cat([picture.diff(dim=axis).abs().amax(-1).flatten(1) for axis in (1, 2)], dim=1)
    return float(steps.topk(steps.shape[1] // 100, dim=1).values.mean())


def grid_energy(frames: Tensor) -> float:
    """Mean squared step across the borders of the autoencoder's 8-pixel squares, of `frames` [T, 128, 128, 3] uint8."""
    picture = frames.float() / 255
    steps = [picture.narrow(axis, 8, SIZE - 8).diff(dim=axis, prepend=picture.narrow(axis, 7, 1)) for axis in (1, 2)]
    return float(torch.stack([steps[0][:, ::8].square().mean(), steps[1][:, :, ::8].square().mean()]).mean())


def patchiness(frames: Tensor) -> float | None:
    """Deviation of the colour (0 to 1) over the inside of the object, mean over `frames` [T, 128, 128, 3] uint8: 0 is
    one flat colour, as objects are drawn. None where there is no inside."""
    picture = frames.float() / 255
    around = look_around(picture)
    mask = (soft_mask(picture, around.picture(), around.weather) > 0.5).float()
    inside = -F.max_pool2d(-mask[:, None], 2 * RIM + 1, stride=1, padding=RIM)[:, 0] > 0.5
    spreads = [float(p[i].std(dim=0).mean()) for p, i in zip(picture, inside, strict=True) if i.sum() > SMALLEST_AREA]
    return sum(spreads) / len(spreads) if spreads else None


def clipped_share(frames: Tensor) -> float:
    """Share of pixels with a channel at an end of the range (uint8 below 3, above 253); drawings have neither."""
    return float(((frames < 3) | (frames > 253)).any(-1).float().mean())


def latent_motion_ratio(seen: Tensor, true: Tensor) -> float:
    """Displacement over the four frames of each latent frame against the true one; 1 is right, 0 is "four
    equal frames".

    seen, true: centres [N, T, 2], T a multiple of 4; NaN rows are left out.
    """
    seen_step, true_step = (v.unflatten(1, (-1, 4))[:, :, 3] - v.unflatten(1, (-1, 4))[:, :, 0] for v in (seen, true))
    keep = torch.isfinite(seen_step).all(-1) & (true_step.norm(dim=-1) > 1.0)
    seen_step, true_step = seen_step[keep], true_step[keep]
    return float((seen_step * true_step).sum() / true_step.square().sum())
