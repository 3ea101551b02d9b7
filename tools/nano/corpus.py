"""Draw clips and encode them once, on the device: what the transformer is trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from magi_core.config import LATENT_SCALE
from magi_core.vae.model import ViTVAE
from tools.nano.batches import Corpus, Films, make_corpus
from tools.nano.compilation import Compiled
from tools.nano.render import Sheet, draw, make_sheet
from tools.nano.scenery import weather_covers
from tools.nano.scenes import Scenes, sample_scenes, with_other_things
from tools.nano.vocabulary import CHUNK_FRAMES, CHUNKS, FRAMES
from tools.nano.wear import MOST_LOST, MOST_MORPH, Wear, at_other_speeds, sample_wear, tinted

TILE = 12
PAIRS, APART = 0.4, 1.05  # share of clips with two objects; their distance in sums of their radii, at least


@torch.no_grad()
def build_corpus(vae: ViTVAE, tokenizer, count: int, seed: int, *, at_once: int = 16, compiled: bool = True) -> Corpus:
    """`count` clips by `seed`, drawn and encoded in the 12-frame tiles that the engine's codec uses."""
    device = next(vae.parameters()).device
    scenes = training_scenes(count, seed)
    falling = weather_covers(device)
    tiles = FRAMES // TILE

    def encode(video: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, 6, C, 6, h, w] and first-frame latents [B, C, h, w] of [B, 3, 144, H, W]."""
        with torch.autocast(video.device.type, torch.bfloat16, enabled=video.is_cuda):
            parts = video.unflatten(2, (tiles, TILE)).transpose(1, 2).flatten(0, 1)
            latents = vae.encode(parts).float() * LATENT_SCALE
            first = vae.encode(video[:, :, :1])[:, :, 0].float() * LATENT_SCALE
        c, t, h, w = latents.shape[1:]
        latents = latents.view(-1, CHUNKS, tiles // CHUNKS, c, t, h, w).transpose(2, 3).flatten(3, 4)
        return latents.bfloat16(), first.bfloat16()

    def painted(sheet: Sheet) -> Tensor:
        return draw(sheet, falling, rows, frame)

    def painted_worn(sheet: Sheet, wear: Wear) -> Tensor:
        return draw(sheet, falling, rows, frame, wear)

    rows = torch.arange(at_once, device=device)
    frame = torch.arange(FRAMES, device=device).expand(at_once, -1)
    draw_fast = Compiled(painted, "drawing", compiled)
    draw_worn = Compiled(painted_worn, "drawing worn objects", compiled)
    encode_fast = Compiled(encode, "encoding", compiled)

    def encoded(sheet: Sheet, clips: Tensor, wear: Wear | None = None) -> tuple[Tensor, Tensor]:
        """Both latents of these clips."""
        pieces = []
        for some in clips.split(at_once):
            filled = torch.cat([some, some[-1:].expand(at_once - len(some))])
            video = draw_fast(sheet.of(filled)) if wear is None else draw_worn(sheet.of(filled), wear.of(filled))
            pieces.append([part[: len(some)] for part in encode_fast(video)])
        latents, first = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return latents, first

    def worn(scenes: Scenes, seed: int, morph: float) -> Tensor:
        sheet = make_sheet(scenes, device)
        sheet = replace(sheet, colours=tinted(sheet.colours, seed))
        return encoded(sheet, everything, sample_wear(scenes, seed, device, morph))[0]

    everything = torch.arange(count, device=device)
    latents, first = encoded(make_sheet(scenes, device), everything)
    reshot = torch.from_numpy(np.flatnonzero(scenes.new_shot.any(axis=1))).to(device)
    disguises = latents[:1]
    if len(reshot):
        disguises, _ = encoded(make_sheet(with_other_things(scenes, seed), device), reshot)
    slipped = worn(at_other_speeds(scenes, seed), seed + 1, MOST_LOST)
    films = Films(latents, first, disguises, worn(scenes, seed, MOST_MORPH), slipped)
    return make_corpus(scenes, films, tokenizer, seed)


def training_scenes(count: int, seed: int) -> Scenes:
    """Clips to train on: in two of five there are two objects, neither of which hides the other in the first second."""
    scenes = sample_scenes(3 * count, seed)
    there = np.flatnonzero(scenes.second)
    first, second = scenes.path[there, :, :CHUNK_FRAMES].swapaxes(0, 1)
    distance = np.linalg.norm(first[..., :2] - second[..., :2], axis=-1)
    apart = there[(distance > APART * (first[..., 2] + second[..., 2])).all(axis=1)][: round(PAIRS * count)]
    alone = np.flatnonzero(~scenes.second)[: count - len(apart)]
    return scenes.of(np.sort(np.concatenate([apart, alone])))
