"""Draw clips and encode them once, on the device: what the transformer is trained on.

    torchrun --nproc-per-node 4 -m tools.nano.corpus --vae DIR --clips 9000 --seed 371 --out CORPUS

writes one file per process, for `train_dit --corpus CORPUS` and `distill --corpus CORPUS` with as many processes, which
compile meanwhile.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from magi_core.config import LATENT_SCALE
from magi_core.vae.model import ViTVAE
from tools.nano.clips import Corpus, Films, make_corpus
from tools.nano.compilation import Compiled
from tools.nano.export import load_autoencoder
from tools.nano.processes import arrival, join, leave, rank
from tools.nano.recipe import VAE_CONFIG
from tools.nano.render import Sheet, draw, make_sheet
from tools.nano.scenery import weather_covers
from tools.nano.scenes import Scenes, sample_scenes, with_other_things
from tools.nano.text_model import make_tokenizer
from tools.nano.vocabulary import BACKGROUNDS, CHUNK_FRAMES, CHUNKS, FRAMES, OUTDOORS, SIZE
from tools.nano.wear import (
    MOST_LOST,
    MOST_MORPH,
    Wear,
    at_other_speeds,
    lingering,
    sample_wear,
    swollen,
    tinted,
)

TILE = 12
STAND_INS = 16
PAIRS, APART = 0.5, 1.05  # share of clips with two objects; their distance in sums of their radii, at least
DUSKS = 0.35  # share of clips in which night falls or day breaks: things are lost there, and few have it by chance


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
        sheet = make_sheet(swollen(scenes, seed), device)
        sheet = replace(sheet, colours=tinted(sheet.colours, seed))
        return encoded(sheet, everything, sample_wear(scenes, seed, device, morph))[0]

    everything = torch.arange(count, device=device)
    latents, first = encoded(make_sheet(scenes, device), everything)
    reshot = torch.from_numpy(np.flatnonzero(scenes.new_shot.any(axis=1))).to(device)
    disguises = behind = latents[:1].clone()
    if len(reshot):
        disguises, behind = (
            encoded(make_sheet(other, device), reshot)[0]
            for other in (with_other_things(scenes, seed), lingering(scenes, seed))
        )
    slipped = worn(at_other_speeds(scenes, seed), seed + 1, MOST_LOST)
    films = Films(latents, first, disguises, behind, worn(scenes, seed, MOST_MORPH), slipped)
    return make_corpus(scenes, films, tokenizer, seed)


def training_scenes(count: int, seed: int) -> Scenes:
    """Clips to train on: in half of them there are two objects, neither of which hides the other in the first second;
    in many night falls or day breaks."""
    scenes = sample_scenes(4 * count + 64, seed)
    first, second = scenes.path[:, :, :CHUNK_FRAMES].swapaxes(0, 1)
    distance = np.linalg.norm(first[..., :2] - second[..., :2], axis=-1)
    apart = (distance > APART * (first[..., 2] + second[..., 2])).all(axis=1)
    outside = [BACKGROUNDS.index(name) for name in OUTDOORS]
    dusk = np.isin(scenes.background_from, outside) & np.isin(scenes.background_to, outside)
    dusk = (dusk & (scenes.background_from != scenes.background_to)).any(axis=1)
    chosen = []
    for these, size in ((scenes.second & apart, round(PAIRS * count)), (~scenes.second, count - round(PAIRS * count))):
        turning, others = np.flatnonzero(these & dusk), np.flatnonzero(these & ~dusk)
        many = round(DUSKS * size)
        chosen.append(np.concatenate([turning[:many], others, turning[many:]])[:size])
    return scenes.of(np.sort(np.concatenate(chosen)))


def stand_in(tokenizer, device: torch.device) -> Corpus:
    """A few clips of noise in a corpus of the right shapes, to compile with."""
    scenes, grid = sample_scenes(STAND_INS, 0), SIZE // VAE_CONFIG["patch_size"]
    shape = (STAND_INS, CHUNKS, VAE_CONFIG["z_chans"], 6, grid, grid)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, torch.bfloat16)
    reshot = max(1, int(scenes.new_shot.any(axis=1).sum()))
    films = Films(noise, noise[:, 0, :, 0], noise[:reshot], noise[:reshot], noise, noise)
    return make_corpus(scenes, films, tokenizer, 0)


def seed_here(seed: int) -> int:
    """The seed of this process's clips."""
    return seed + 17 * rank()


def save_corpus(corpus: Corpus, folder: Path) -> None:
    """This process's file in `folder`, moved into place whole. Guesses are left out: they belong to a run."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {f.name: getattr(corpus, f.name).contiguous() for f in fields(corpus) if f.name != "guesses"}
    part = folder / f"{rank()}.part"
    save_file(parts, part)
    os.replace(part, part.with_suffix(".safetensors"))


def load_corpus(folder: Path, device: torch.device, minutes: float) -> Corpus:
    """This process's file in `folder`, as soon as it is there; TimeoutError after `minutes`."""
    parts = load_file(arrival(folder / f"{rank()}.safetensors", minutes), device=str(device))
    return Corpus(**parts, guesses=parts["latents"].clone())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", type=Path, help="folder with vae.safetensors and vae_config.json")
    parser.add_argument("--clips", type=int, default=9000, help="per process")
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    if args.dry_run:
        args.clips, args.compile = 2, False
    device = join()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    at_once = 2 if args.dry_run else 16
    parts = load_autoencoder(args.vae, device), make_tokenizer(), args.clips, seed_here(args.seed)
    save_corpus(build_corpus(*parts, compiled=args.compile, at_once=at_once), args.out)
    leave()


if __name__ == "__main__":
    main()
