"""What the analyser sees around the objects: the background, where the camera looks, and whether it rains or snows.

The scenery is known, so the camera is found by matching: every pan and zoom in coarse steps first, then the places
around the best one. Weather is found by comparing what is left with the known rain and snow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.nano.scenery import OVERCAST, PERIOD, looks, paint_scenery, weather_covers
from tools.nano.scenes import NEAR
from tools.nano.vocabulary import BACKGROUNDS, OUTDOORS

CLIP = 0.2  # no pixel counts for more than this, so that objects do not outvote the scenery
STRIDE = 2  # of the pixels that are compared when the camera's place is refined
EDGE = 10  # pixels along the picture's edges that tell the background and its brightness: an object may fill the rest
COARSE = 4  # pixels averaged in each direction when it is searched everywhere
REST_BONUS = 0.0015  # by which another place must match better than the one where clips begin
PAN_SEEN, ZOOM_SEEN = 11.0, 1.14  # pixels and ratio within a chunk from which on the camera moves
WEATHER_SEEN = 0.25  # correlation with the drawn rain or snow from which on it is there
LOOKED_AT = 8  # frames at the end of a chunk in which weather is looked for: it fades in and out before


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Of one chunk. view [T, 2]: pan and zoom; tone [T]: brightness of the scenery; weather: a word of `WEATHERS`."""

    background: int
    view: Tensor
    tone: Tensor
    weather: str

    @property
    def camera(self) -> str:
        """The camera's move, a word of `CAMERA_MOVES`."""
        zoomed = float(self.view[-1, 1] / self.view[0, 1])
        if zoomed > ZOOM_SEEN or zoomed < 1 / ZOOM_SEEN:
            return "zoom in" if zoomed > 1 else "zoom out"
        panned = float(self.view[-1, 0] - self.view[0, 0])
        if abs(panned) < PAN_SEEN:
            return "rest"
        return "pan right" if panned > 0 else "pan left"

    def picture(self) -> Tensor:
        """The scenery alone, [T, 128, 128, 3] in 0..1."""
        if BACKGROUNDS[self.background] not in OUTDOORS:
            return _painted(self.background, self.view[:1]).expand(len(self.view), -1, -1, -1)
        return _painted(self.background, self.view) * self.tone[:, None, None, None]


def _painted(background: int, view: Tensor, stride: int = 1) -> Tensor:
    look = looks(view.device)[background].expand(len(view), -1)
    return paint_scenery(look, view, stride).permute(0, 2, 3, 1)


def look_around(frames: Tensor, background: int | None = None) -> Surroundings:
    """Surroundings of one chunk, [T, 128, 128, 3] in 0..1."""
    if background is None:
        background = nearest_background(frames)
    rest = torch.tensor([0.0, 1.0], device=frames.device).expand(len(frames), 2)
    if BACKGROUNDS[background] not in OUTDOORS:
        return Surroundings(background, rest, torch.ones(len(frames), device=frames.device), "clear")
    looked = sorted({0, len(frames) // 2, len(frames) - 1})
    tones = [brightness(frames[i], background) for i in looked]
    places = [place(frames[i], background, tone) for i, tone in zip(looked, tones, strict=True)]
    for i in range(1, len(places)):  # the scenery repeats: take the nearest of the places that look the same
        shift = places[i][0] - places[i - 1][0]
        places[i][0] -= PERIOD * torch.round(shift / PERIOD)
    view = between(looked, torch.stack(places))
    tone = between(looked, torch.tensor(tones, device=frames.device)[:, None])[:, 0]
    around = Surroundings(background, view, tone, "clear")
    return replace(around, weather=weather_of(frames, around.picture()))


def between(looked: list[int], values: Tensor) -> Tensor:
    """Values [T, n] of all frames from those of the frames looked at, the first and the last among them."""
    rows = values[:1]
    for a, b, start, end in zip(looked, looked[1:], values, values[1:], strict=False):
        share = torch.linspace(0, 1, b - a + 1, device=values.device)[1:, None]
        rows = torch.cat([rows, start + share * (end - start)])
    return rows


def brightness(frame: Tensor, background: int) -> float:
    """How bright the scenery of one frame [128, 128, 3] is, in three steps: rain and snow darken it."""
    at_rest = _painted(background, torch.tensor([[0.0, 1.0]], device=frame.device), STRIDE)
    tones = (1.0, (1 + OVERCAST) / 2, OVERCAST)
    return min(tones, key=lambda tone: _unlike_at_edges(frame[None, ::STRIDE, ::STRIDE], tone * at_rest))


def nearest_background(frames: Tensor) -> int:
    """Index of the background that the edges of `frames` [T, H, W, 3] 0..1 resemble most, in whatever weather."""
    picture = frames[:: max(1, len(frames) // 4), ::STRIDE, ::STRIDE]
    rest = torch.tensor([[0.0, 1.0]], device=frames.device)
    scores = []
    for index, name in enumerate(BACKGROUNDS):
        tones = (1.0, OVERCAST) if name in OUTDOORS else (1.0,)
        scenery = _painted(index, rest, STRIDE)
        scores.append(min(_unlike_at_edges(picture, tone * scenery) for tone in tones))
    return scores.index(min(scores))


def _unlike_at_edges(picture: Tensor, scenery: Tensor) -> float:
    """Median difference of the pixels near the edges, of pictures [T, H, W, 3] in steps of `STRIDE`."""
    difference, inside = (picture - scenery).abs().mean(-1), EDGE // STRIDE
    kept = torch.ones_like(difference, dtype=torch.bool)
    kept[:, inside:-inside, inside:-inside] = False
    return float(difference[kept].median())


@lru_cache(maxsize=4)
def _everywhere(background: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Views [N, 2] over all pans and zooms, and their scenery, averaged over squares."""
    pans = torch.arange(0, PERIOD, 4, device=device)
    zooms = torch.tensor([1.0, 1.1, 1.2, NEAR**0.9], device=device)
    views = torch.cartesian_prod(pans, zooms)
    pictures = [_pooled(_painted(background, part)) for part in views.split(16)]
    return views, torch.cat(pictures)


def _pooled(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(pictures.permute(0, 3, 1, 2), COARSE).permute(0, 2, 3, 1)


def _mismatch(frame: Tensor, candidates: Tensor) -> Tensor:
    """[N]: how badly each candidate [N, h, w, 3] explains `frame` [h, w, 3]."""
    return (frame - candidates).abs().amax(-1).clamp(max=CLIP).mean((1, 2))


def place(frame: Tensor, background: int, tone: float) -> Tensor:
    """[2]: the pan and zoom whose scenery explains one frame [128, 128, 3] best."""
    views, pictures = _everywhere(background, frame.device)
    start = views[_mismatch(_pooled(frame[None])[0], tone * pictures).argmin()]
    for span, step in ((4.0, 1.0), (1.0, 0.5)):
        pans = torch.arange(-span, span + 0.1, step, device=frame.device)
        zooms = torch.arange(-0.03, 0.031, 0.015, device=frame.device) * span
        near = start + torch.cartesian_prod(pans, zooms)
        near[:, 1].clamp_(0.95, NEAR + 0.05)
        scores = _mismatch(frame[::STRIDE, ::STRIDE], tone * _painted(background, near, STRIDE))
        start, best = near[scores.argmin()], scores.min()
    rest = torch.tensor([[0.0, 1.0]], device=frame.device)
    at_rest = _mismatch(frame[::STRIDE, ::STRIDE], tone * _painted(background, rest, STRIDE))[0]
    return rest[0].clone() if at_rest < best + REST_BONUS else start.clone()


@lru_cache(maxsize=2)
def _falling(device: torch.device) -> tuple[Tensor, Tensor]:
    return weather_covers(device)


def weather_of(frames: Tensor, scenery: Tensor) -> str:
    """The weather at the end of a chunk: the kind whose drawn pattern the rest of the picture resembles."""
    left = (frames[-LOOKED_AT:] - scenery[-LOOKED_AT:]).abs().amax(-1).clamp(max=0.3)
    crowded = F.avg_pool2d((left > 0.1).float()[:, None], 15, stride=1, padding=7)[:, 0]
    free = (crowded < 0.6).float()  # not where an object is
    patterns = zip(("rain", "snow"), _falling(frames.device), strict=True)
    scores = {kind: _resemblance(left, free, covers) for kind, covers in patterns}
    kind = max(scores, key=lambda name: scores[name])
    return kind if scores[kind] > WEATHER_SEEN else "clear"


def _resemblance(left: Tensor, free: Tensor, covers: Tensor) -> float:
    """Correlation over the free pixels of the frames with the falling pattern, at its best phase."""
    weight = free.sum().clamp(min=1)
    mean = (left * free).sum() / weight
    seen = (left - mean) * free
    best = 0.0
    for phase in range(len(covers)):
        drawn = covers[(phase + torch.arange(len(left), device=left.device)) % len(covers)]
        drawn = (drawn - (drawn * free).sum() / weight) * free
        best = max(best, float((seen * drawn).sum() / (seen.norm() * drawn.norm()).clamp(min=1e-6)))
    return best
