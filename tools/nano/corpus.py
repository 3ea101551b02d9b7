"""Draw clips and encode them once, on the device: what the transformer is trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from magi_core.config import LATENT_SCALE
from magi_core.vae.model import ViTVAE
from tools.nano.batches import Corpus, make_corpus
from tools.nano.compilation import Compiled
from tools.nano.render import background_images, draw, make_sheet
from tools.nano.scenes import sample_scenes
from tools.nano.vocabulary import CHUNKS, FRAMES

TILE = 12


@torch.no_grad()
def build_corpus(vae: ViTVAE, tokenizer, count: int, seed: int, *, at_once: int = 16, compiled: bool = True) -> Corpus:
    """`count` clips by `seed`, drawn and encoded in the 12-frame tiles that the engine's codec uses."""
    device = next(vae.parameters()).device
    scenes = sample_scenes(count, seed)
    sheet, images = make_sheet(scenes, device), background_images(device)
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
    latents, first = [], []
    for start in range(0, count, at_once):
        clip = torch.arange(start, start + at_once, device=device).clamp(max=count - 1)
        pieces = encode_fast(draw_fast(sheet, images, clip, frame))
        keep = min(at_once, count - start)
        latents.append(pieces[0][:keep])
        first.append(pieces[1][:keep])
    return make_corpus(scenes, torch.cat(latents), torch.cat(first), tokenizer, seed)
