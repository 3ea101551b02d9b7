"""A light batched sampler inside training: one chunk per held-out prompt, judged by the analyser. Curves, not
scores."""

from __future__ import annotations

import torch
from torch import Tensor

from magi_core.config import LATENT_SCALE, Guidance
from magi_core.sampling.guidance import pass_weights
from magi_core.sampling.timesteps import step_factor, timesteps
from magi_core.vae.model import ViTVAE
from tools.nano.analyser import action_of, measure
from tools.nano.clips import TEXT_LENGTH
from tools.nano.render import to_uint8
from tools.nano.scenes import sample_scenes, size_name
from tools.nano.text_model import SPECIAL_INDEX, caption_ids
from tools.nano.training_model import SlotDiT, predict, read_text
from tools.nano.vocabulary import ACTIONS, COLOUR_NAMES, SHAPES

SIZE_WORDS = {"big", "large", "small", "little"}


class QuickLook:
    """Single-chunk prompts with their truth; `run` returns the share of each attribute that is right.

    A single chunk has no history, so of the guidance only the text scale counts; and on a nearly clean one the
    distilled models' second look, at the chunk by itself, is the same as the first.
    """

    def __init__(self, count: int, seed: int, tokenizer, device: torch.device, grid: int) -> None:
        self.scenes = sample_scenes(count, seed, plain=True, held_out=True, alone=True)
        ids, counts = caption_ids(tokenizer, [clip[:1] for clip in self.scenes.captions], TEXT_LENGTH)
        self.ids, self.counts = ids.to(device), counts.to(device)
        self.prefix = torch.full((count, 1, 6), -1, device=device)
        self.prefix[:, 0, 0] = SPECIAL_INDEX["DURATION_8"]
        self.prefix[:, 0, 1] = SPECIAL_INDEX["HQ"]
        self.noise = torch.randn(count, 16, 6, grid, grid, generator=torch.Generator().manual_seed(seed)).to(device)

    @torch.no_grad()
    def sample(
        self, dit: SlotDiT, text_model, special: Tensor, *, steps: int = 16, guidance: Guidance | None = None
    ) -> Tensor:
        """Latents [N, 16, 6, h, w] by Euler steps with text guidance; `guidance` None: as a distilled model."""
        null_rows = dit.y_embedder.null_caption_embedding
        count, device = len(self.noise), self.noise.device
        frames = torch.arange(6, device=device)
        slot_tokens = 6 * (self.noise.shape[-1] // 2) ** 2
        mask = [torch.ones(count, 1, 1, slot_tokens, dtype=torch.bool, device=device)]
        factor = None
        if guidance is None:
            factor = torch.full((count, 1), step_factor(steps, 1), device=device)

        def velocity(x: Tensor, t: Tensor, dropped: bool) -> Tensor:
            null = torch.full((count, 1), dropped, device=device)
            prefix = torch.full_like(self.prefix, -1) if dropped else self.prefix
            text, visible = read_text(text_model, special, null_rows, self.ids, self.counts, prefix, null)
            return predict(dit, "sdpa", x, t.expand(count, 1), null, text, visible, frames, mask, factor)

        grid = timesteps(steps).to(device)
        x = self.noise
        for now, then in zip(grid[:-1], grid[1:], strict=True):
            scale = 1.0 if guidance is None else pass_weights(guidance, float(now)).text
            v = scale * velocity(x, now, False)
            if scale != 1.0:
                v = v + (1 - scale) * velocity(x, now, True)
            x = x + (then - now) * v
        return x

    @torch.no_grad()
    def run(
        self,
        dit: SlotDiT,
        text_model,
        special: Tensor,
        vae: ViTVAE,
        *,
        steps: int = 16,
        guidance: Guidance | None = None,
    ) -> dict[str, float]:
        latents = self.sample(dit, text_model, special, steps=steps, guidance=guidance) / LATENT_SCALE
        right: dict[str, list[bool]] = {name: [] for name in ("colour", "shape", "size", "motion")}
        for i, latent in enumerate(latents):
            parts = torch.stack(latent.split(3, dim=1))
            video = to_uint8(vae.decode(parts)).flatten(0, 1)
            track, scenes = measure(video), self.scenes
            action = ACTIONS[scenes.action[i, 0, 0]]
            right["colour"].append(track.colour == COLOUR_NAMES[scenes.colour_to[i, 0, 0]])
            right["shape"].append(track.shape == SHAPES[scenes.shape[i, 0]])
            right["motion"].append(action_of(track) == action)
            size = size_name(float(scenes.path[i, 0, 0, 2]))
            if action not in ("grow", "shrink") and SIZE_WORDS & set(scenes.captions[i][0].split()):
                right["size"].append(track.size == size)
        return {name: round(sum(values) / max(1, len(values)), 3) for name, values in right.items()}
