"""Draw clips and encode them once, on the device: what the transformer is trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from magi_core.config import LATENT_SCALE
from magi_core.vae.model import ViTVAE
from tools.nano.batches import Corpus, make_corpus
from tools.nano.compilation import Compiled
from tools.nano.render import Sheet, draw, make_sheet
from tools.nano.scenery import weather_covers
from tools.nano.scenes import sample_scenes, with_other_things
from tools.nano.vocabulary import CHUNKS, FRAMES

TILE = 12


@torch.no_grad()
def build_corpus(vae: ViTVAE, tokenizer, count: int, seed: int, *, at_once: int = 16, compiled: bool = True) -> Corpus:
    """`count` clips by `seed`, drawn and encoded in the 12-frame tiles that the engine's codec uses."""
    device = next(vae.parameters()).device
    scenes = sample_scenes(count, seed)
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

    draw_fast, encode_fast = Compiled(draw, "drawing", compiled), Compiled(encode, "encoding", compiled)
    frame = torch.arange(FRAMES, device=device).expand(at_once, -1)

    def encoded(sheet: Sheet, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Both latents of these clips."""
        pieces = []
        for some in clips.split(at_once):
            filled = torch.cat([some, some[-1:].expand(at_once - len(some))])
            pieces.append([part[: len(some)] for part in encode_fast(draw_fast(sheet, falling, filled, frame))])
        latents, first = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return latents, first

    latents, first = encoded(make_sheet(scenes, device), torch.arange(count, device=device))
    reshot = torch.from_numpy(np.flatnonzero(scenes.new_shot.any(axis=1))).to(device)
    disguises = latents[:1]
    if len(reshot):
        disguises, _ = encoded(make_sheet(with_other_things(scenes, seed), device), reshot)
    return make_corpus(scenes, latents, first, disguises, tokenizer, seed)
