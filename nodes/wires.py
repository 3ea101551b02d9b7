"""What travels between MAGI nodes. ComfyUI's own types are used wherever one exists (IMAGE, VIDEO, LATENT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from comfy_api.latest import io
from torch import Tensor

from magi_core.config import LATENT_SCALE
from magi_core.errors import MagiError

if TYPE_CHECKING:
    from magi_core.state import SamplerState
    from magi_core.story.chunk import ChunkSpec
    from magi_core.story.direction import DirectedPrompt, Direction
    from magi_core.text import PromptEmbedding

CATEGORY = "MAGI"
# Beside the samples of a LATENT: a factor; an AUDIO; `SamplerState.filled`, and of how many latent frames that holds;
# `VAE.identity`.
SCALE, SOUND, FILLED, VAE = "magi_scale_factor", "magi_sound", "magi_filled", "magi_vae"

LONGEST_NAME = 100  # of a VAE

Model = io.Custom("MAGI_MODEL")  # magi_core.Engine
TextEncoder = io.Custom("MAGI_TEXT_ENCODER")  # magi_core.text.TextEncoder
Conditioning = io.Custom("MAGI_CONDITIONING")  # Prompt or Prompts
Story = io.Custom("MAGI_STORYBOARD")  # magi_core.story.storyboard.Storyboard
State = io.Custom("MAGI_STATE")  # HeldState


class Prompt(NamedTuple):
    """An encoded prompt. The tensor is named a second time because ComfyUI counts memory in tuples only."""

    embedding: PromptEmbedding
    tokens: Tensor

    @classmethod
    def of(cls, embedding: PromptEmbedding) -> Prompt:
        return cls(embedding, embedding.tokens)

    @property
    def told(self) -> int | None:
        """Chunks that it describes; None: as many as one likes."""
        return None

    @property
    def specs(self) -> Sequence[ChunkSpec]:
        """Of a storyboard; none."""
        return ()

    def for_chunks(self, count: int) -> Sequence[Direction]:
        """What is said about `count` chunks."""
        return [self.embedding] * count


class Prompts(NamedTuple):
    """The encoded prompts of several chunks, one each, and their tensors."""

    chunks: tuple[DirectedPrompt, ...]
    tokens: tuple[Tensor, ...]

    @classmethod
    def of(cls, chunks: Sequence[DirectedPrompt]) -> Prompts:
        """Equal prompts share one tensor, which counts once."""
        return cls(tuple(chunks), tuple({chunk.text.key: chunk.text.tokens for chunk in chunks}.values()))

    @property
    def told(self) -> int | None:
        """Chunks that it describes."""
        return len(self.chunks)

    @property
    def specs(self) -> Sequence[ChunkSpec]:
        """What is asked of each chunk."""
        return [chunk.spec for chunk in self.chunks]

    def for_chunks(self, count: int) -> Sequence[Direction]:
        """What is said about `count` chunks: cut to them, or the last prompt goes on."""
        return [*self.chunks, *[self.chunks[-1].held] * (count - len(self.chunks))][:count]


class HeldState(NamedTuple):
    """A state on a wire, and its tensors where ComfyUI's memory accounting sees them.

    tensors: the state's own, not copies, so that a chain of nodes holds every chunk once.
    """

    state: SamplerState
    tensors: tuple[Tensor, ...]

    @classmethod
    def of(cls, state: SamplerState) -> HeldState:
        given: tuple[Tensor, ...] = () if state.prefix is None else (state.prefix,)
        given += () if state.sound is None else (state.sound.kept,)
        flying = (*state.in_flight, *(() if state.unfinished is None else state.unfinished.frontier.chunks))
        tensors = (*given, *(record.latent for record in state.chunks), *(chunk.latent for chunk in flying))
        return cls(state, tensors)

    @property
    def latents(self) -> Tensor:
        """The whole video so far, [1, C, T, h, w]."""
        return self.state.latents


def to_latent(latents: Tensor, scale_factor: float, filled: int = 0, vae: str = "") -> dict[str, Any]:
    """Engine latents [1, C, T, h, w] as a LATENT: the VAE's own range, as ComfyUI's wires carry it.

    filled, vae: see `SamplerState`.
    """
    told = {SCALE: scale_factor, FILLED: (filled, latents.shape[2]), VAE: vae}
    return {"samples": latents / scale_factor} | told


def filled_in(latent: dict[str, Any]) -> int:
    """What `to_latent` was told; 0 where another node has changed how many frames there are."""
    filled, frames = latent.get(FILLED, (0, 0))
    return filled if frames == latent["samples"].shape[2] else 0


def vae_of(latent: dict[str, Any]) -> str:
    """What `to_latent` was told; "" where it was another node that made it."""
    vae = latent.get(VAE, "")
    return vae if isinstance(vae, str) and len(vae) <= LONGEST_NAME else ""


def from_latent(latent: dict[str, Any]) -> Tensor:
    """A LATENT as engine latents: the VAE's range times its scale factor, which core nodes do not write beside it.

    Raises `MagiError` for what is not one video.
    """
    samples = latent["samples"]
    if not isinstance(samples, Tensor) or samples.ndim != 5:
        raise MagiError(
            "these latents are not of a video (they may be an image's, of another model's VAE): encode the image or "
            "the video with Magi VAE Encode"
        )
    if len(samples) != 1:
        raise MagiError(
            f"these latents hold {len(samples)} videos, and one is continued: choose one, with Latent From Batch"
        )
    if not samples.isfinite().all():
        raise MagiError("these latents have values that are not numbers: encode the image or the video again")
    return samples * latent.get(SCALE, LATENT_SCALE)


def notes_on(latent: dict[str, Any]) -> tuple[str, ...]:
    """What a LATENT brings that a prefix has no use for, or leaves open, in words."""
    notes = []
    if latent.get("noise_mask") is not None:
        notes.append("the noise mask of the prefix is not used: what is given is kept whole")
    if SCALE not in latent:
        notes.append(
            "the prefix does not come from Magi VAE Encode: if another model's VAE made these latents, encode the "
            "image or the video with Magi VAE Encode, else its frames are noise"
        )
    return tuple(notes)
