"""Encoded training clips with their captions: all that batches are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from tools.nano.render import BACKGROUND_TURN, COLOUR_TURN
from tools.nano.scenes import Scenes
from tools.nano.text_model import SPECIAL_INDEX, caption_ids
from tools.nano.vocabulary import CHUNK_FRAMES, CHUNKS

TEXT_LENGTH = 32  # caption tokens, end token included
PREFIX_LENGTH = 6  # special tokens in front of them
NO_DURATION, NO_HQ, DYNAMIC_SHARE = 0.1, 0.1, 0.15
TURNING, TURNED = 3.0, 2.0  # weight in the loss of frames in which something turns, and of the others of their chunk


@dataclass(frozen=True, eq=False)
class Corpus:
    """All training clips on one device.

    latents [N, 6, C, 6, h, w] and first [N, C, h, w] (frame 0 as a still image), both scaled. ids [N, 6, 32],
    counts [N, 6]. text_prefix, null_prefix [N, 6, 6]: special-token indices, -1 where there is none, foremost first.
    clean, tagged: clip numbers without and with marks that only negative tokens name. new_shot [N, 6]: chunks that do
    not go on from where the one before was. guesses [N, 6, C, 6, h, w]: the model's latest guess at each chunk, the
    drawn one until there is one (see `keep_guesses`). disguises [M, 6, C, 6, h, w]: clips with new shots once
    more, with other things in them; lingering: again, where they do go on; disguise [N]: which of both belongs to a
    clip, 0 where none does. worn, slipped: as latents, of worn objects, and of such at other speeds (all in `wear`).
    places [N, 6, 6, 2, 3]: x, y and radius of both objects in every latent frame, in pixels; far away where there is no
    second one. emphasis [N, 6, 6]: weight of every latent frame in the loss, larger where something changes
    (`emphasis_on`).
    """

    latents: Tensor
    first: Tensor
    ids: Tensor
    counts: Tensor
    text_prefix: Tensor
    null_prefix: Tensor
    clean: Tensor
    tagged: Tensor
    new_shot: Tensor
    guesses: Tensor
    disguises: Tensor
    lingering: Tensor
    disguise: Tensor
    worn: Tensor
    slipped: Tensor
    places: Tensor
    emphasis: Tensor


@dataclass(frozen=True, eq=False)
class Films:
    """Encoded clips as `Corpus` describes them."""

    latents: Tensor
    first: Tensor
    disguises: Tensor
    lingering: Tensor
    worn: Tensor
    slipped: Tensor


def token_prefixes(scenes: Scenes, seed: int) -> tuple[Tensor, Tensor]:
    """Special tokens in front of captions and of null text, [N, 6, 6] each; -1 pads at the end."""
    rng = np.random.default_rng([seed, 2])
    n = len(scenes)
    text = np.full((n, CHUNKS, PREFIX_LENGTH), -1)
    null = np.full((n, CHUNKS, PREFIX_LENGTH), -1)
    ahead = rng.integers(7, 17, n)
    named = {
        "TWO_D_ANIME": scenes.style == 2,
        "THREE_D_MODEL": scenes.style == 1,
        "HQ": ~scenes.degraded & (rng.random(n) > NO_HQ),
        "BORDERNESS": scenes.border,
        "DYNAMIC_FIRST_FRAMES": ~scenes.hold & (rng.random(n) < DYNAMIC_SHARE),
        "STATIC_FIRST_FRAMES": scenes.hold,
    }
    negative = {
        "BORDERNESS": scenes.border,
        "TRANS": scenes.fade_in,
        "LOGO": scenes.logo,
        "CAPTION": scenes.bar,
    }
    says_duration = rng.random(n) > NO_DURATION
    for i in range(n):
        front = [SPECIAL_INDEX[name] for name, there in named.items() if there[i]]
        back = [SPECIAL_INDEX[name] for name, there in negative.items() if there[i]]
        for k in range(CHUNKS):
            left = CHUNKS - k if scenes.settle[i] else max(2, min(8, ahead[i] - k))
            row = ([SPECIAL_INDEX[f"DURATION_{left}"]] if says_duration[i] else []) + front
            text[i, k, : len(row)] = row[:PREFIX_LENGTH]
            null[i, k, : len(back)] = back
    return torch.from_numpy(text), torch.from_numpy(null)


def make_corpus(scenes: Scenes, films: Films, tokenizer, seed: int) -> Corpus:
    """The disguises are those of the clips that have new shots, in their order."""
    device = films.latents.device
    ids, counts = caption_ids(tokenizer, scenes.captions, TEXT_LENGTH)
    text, null = token_prefixes(scenes, seed)
    tagged = scenes.bar | scenes.logo | scenes.fade_in
    parts = {
        "ids": ids,
        "counts": counts,
        "text_prefix": text,
        "null_prefix": null,
        "clean": torch.from_numpy(np.flatnonzero(~tagged)),
        "tagged": torch.from_numpy(np.flatnonzero(tagged if tagged.any() else ~tagged)),
        "new_shot": torch.from_numpy(scenes.new_shot),
        "disguise": torch.from_numpy(scenes.new_shot.any(axis=1).cumsum() - 1).clamp(min=0),
    }
    paths = torch.from_numpy(scenes.path).unflatten(2, (CHUNKS, -1, CHUNK_FRAMES // 6)).mean(4)  # N 2 6 6 3
    paths[:, 1, ..., :2] -= torch.from_numpy(1e4 * ~scenes.second).float()[:, None, None, None]
    parts["places"] = paths.permute(0, 2, 3, 1, 4).contiguous()
    parts["emphasis"] = emphasis_on(scenes)
    own = {f.name: getattr(films, f.name) for f in fields(films)} | {"guesses": films.latents.clone()}
    return Corpus(**own, **{name: value.to(device) for name, value in parts.items()})


def emphasis_on(scenes: Scenes) -> Tensor:
    """Weights [N, 6, 6] of latent frames: those in which a colour, the background or the weather turns count most, the
    others of their chunk more than usual: that is where a run loses its objects."""
    turns = {
        "colour": (COLOUR_TURN, (scenes.colour_from != scenes.colour_to).any(1)),
        "background": (BACKGROUND_TURN, scenes.background_from != scenes.background_to),
        "weather": (BACKGROUND_TURN, scenes.weather_from != scenes.weather_to),
    }
    within = np.arange(CHUNK_FRAMES).reshape(6, -1)  # latent frame, frame
    weight = np.ones((len(scenes), CHUNKS, 6), dtype=np.float32)
    for (first, length), changes in turns.values():
        turning = ((within >= first) & (within < first + length)).any(1)
        weight = np.maximum(weight, np.where(changes[..., None], np.where(turning, TURNING, TURNED), 1.0))
    return torch.from_numpy(weight.astype(np.float32))
