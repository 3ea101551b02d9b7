"""What travels between MAGI nodes. ComfyUI's own types are used wherever one exists (IMAGE, VIDEO, LATENT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from comfy_api.latest import io
from torch import Tensor

from magi_core.config import LATENT_SCALE

if TYPE_CHECKING:
    from magi_core.state import SamplerState
    from magi_core.text import PromptEmbedding

CATEGORY = "MAGI"

Model = io.Custom("MAGI_MODEL")  # magi_core.Engine
VAE = io.Custom("MAGI_VAE")  # magi_core.vae.VAE
TextEncoder = io.Custom("MAGI_TEXT_ENCODER")  # magi_core.text.TextEncoder
Conditioning = io.Custom("MAGI_CONDITIONING")  # Prompt
State = io.Custom("MAGI_STATE")  # Generation


class Prompt(NamedTuple):
    """An encoded prompt. The tensor is named a second time because ComfyUI counts memory in tuples only."""

    embedding: PromptEmbedding
    tokens: Tensor

    @classmethod
    def of(cls, embedding: PromptEmbedding) -> Prompt:
        return cls(embedding, embedding.tokens)


class Generation(NamedTuple):
    """A generation in progress: the immutable state, and its latents where ComfyUI's memory accounting sees them."""

    state: SamplerState
    latents: Tensor

    @classmethod
    def of(cls, state: SamplerState) -> Generation:
        return cls(state, state.latents)


def to_latent(latents: Tensor) -> dict[str, Tensor]:
    """Engine latents [1, C, T, h, w] as a LATENT: the VAE's own range, as ComfyUI's wires carry it."""
    return {"samples": latents / LATENT_SCALE}


def from_latent(latent: dict[str, Tensor]) -> Tensor:
    """A LATENT as engine latents: the VAE's range times its scale factor."""
    return latent["samples"] * LATENT_SCALE
