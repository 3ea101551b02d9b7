"""`Engine`: a model ready to sample. Begin a state, extend it chunk by chunk, decode it to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from magi_core.attention import Attention, sdpa
from magi_core.config import CHUNK_FRAMES, PIXELS_PER_LATENT, SamplingSettings
from magi_core.dit import DiT
from magi_core.errors import Cancelled, MagiError
from magi_core.prefix import encode_prefix
from magi_core.sampling.forward import Predictor
from magi_core.sampling.noise import chunk_noise
from magi_core.sampling.plan import history_needed
from magi_core.sampling.sampler import InFlight, Run, StepEvent
from magi_core.state import ChunkRecord, SamplerState
from magi_core.text.conditioning import PromptEmbedding, assemble_null, assemble_text

if TYPE_CHECKING:
    from magi_core.text import SpecialTokens, TextEncoder
    from magi_core.vae import VAE

Prompt = str | PromptEmbedding
SIZE_MULTIPLE = PIXELS_PER_LATENT * 2


class _Stop(Exception):
    """Raised between forwards when the caller asked to stop."""


class Engine:
    """A transformer with what surrounds it. Only `dit` is needed to sample; text and pixels need their encoders.

    settings: sampling defaults of this engine. special_tokens: the learned tokens prepended to prompts, or None.
    noise: `(seed, chunk index, shape) -> Tensor`; tests inject recorded noise here.
    """

    def __init__(
        self,
        dit: DiT,
        *,
        vae: VAE | None = None,
        text_encoder: TextEncoder | None = None,
        special_tokens: SpecialTokens | None = None,
        settings: SamplingSettings | None = None,
        attention: Attention = sdpa,
        fingerprint: str = "",
        noise: Callable[[int, int, tuple[int, ...]], Tensor] = chunk_noise,
    ) -> None:
        if vae is not None and vae.z_channels != dit.config.latent_channels:
            raise MagiError(
                f"this VAE makes latents of {vae.z_channels} channels, but the model denoises "
                f"{dit.config.latent_channels}: choose the VAE that belongs to the model"
            )
        self.dit, self.vae, self.text_encoder, self.special_tokens = dit, vae, text_encoder, special_tokens
        self.settings = settings or SamplingSettings.for_model(dit.config)
        self.attention, self.fingerprint, self.noise = attention, fingerprint, noise

    def with_settings(self, **changes: Any) -> Engine:
        """A copy that shares the weights and samples with other settings."""
        return self.copy(settings=self.settings.with_changes(**changes))

    def copy(self, **parts: Any) -> Engine:
        """A copy with some constructor arguments replaced; weights are shared."""
        names = ("vae", "text_encoder", "special_tokens", "settings", "attention", "fingerprint", "noise")
        return Engine(parts.pop("dit", self.dit), **{name: getattr(self, name) for name in names} | parts)

    def begin(
        self,
        *,
        width: int,
        height: int,
        seed: int = 0,
        fps: float = 24,
        steps: int | None = None,
        image: Tensor | Any = None,
        video: Tensor | Any = None,
        total_chunks: int | None = None,
        prefix: Tensor | None = None,
        fit: str = "crop",
    ) -> SamplerState:
        """An empty state, or one that starts from an image or a video.

        width, height: pixels, multiples of 16. fps: of the finished video; the model was trained at 24.
        steps: Euler steps per chunk, default from the settings.
        image: [H, W, 3] uint8 or float in 0..1, becomes the first frame.
        video: [T, H, W, 3], is continued; any length (one that is not a multiple of 4 is filled up with repeats of its
        first frame, because a latent covers 4 frames).
        fit: how both get to the size: "crop", "pad" or "stretch". prefix: latents [1, C, p, h, w] in place of either.
        total_chunks: length announced to the model; None announces no end.
        Raises `MagiError` for sizes, steps and inputs that cannot work, before any work is done.
        """
        check_size(width, height)
        settings = self.settings if steps is None else self.settings.with_changes(steps=steps)
        if fps <= 0:
            raise MagiError(f"fps must be above 0: {fps}")
        if total_chunks is not None and total_chunks < 1:
            raise MagiError(f"total_chunks must be at least 1, or None for an open end: {total_chunks}")
        if sum(given is not None for given in (image, video, prefix)) > 1:
            raise MagiError("give an image or a video to start from, not both")
        notes: tuple[str, ...] = ()
        if image is not None or video is not None:
            if self.vae is None:
                raise MagiError("this engine has no VAE: load one to start from an image or a video")
            prefix, notes = encode_prefix(self.vae, width=width, height=height, image=image, video=video, policy=fit)
        state = SamplerState(
            width=width,
            height=height,
            fps=fps,
            seed=seed,
            settings=settings,
            channels=self.dit.config.latent_channels,
            fingerprint=self.fingerprint,
            total_chunks=total_chunks,
            notes=notes,
        )
        if prefix is not None:
            channels, _, rows, columns = state.latent_shape
            if prefix.ndim != 5 or (prefix.shape[1], *prefix.shape[3:]) != (channels, rows, columns):
                raise MagiError(
                    f"these latents have shape {list(prefix.shape)}; for {width}x{height} they must be "
                    f"[1, {channels}, frames, {rows}, {columns}]: encode the image or video at the generation's size"
                )
            state = replace(state, prefix=prefix.detach().to("cpu", torch.float32, copy=True))
        return state

    def extend(
        self,
        state: SamplerState,
        prompt: Prompt | Sequence[Prompt],
        chunks: int = 1,
        *,
        on_step: Callable[[StepEvent], None] | None = None,
        on_chunk: Callable[[ChunkRecord], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> SamplerState:
        """A new state with `chunks` more chunks, continued from the clean chunks of `state`, which stays as it is.

        prompt: one for all new chunks, or one per chunk; "" renders as null text. on_step: after every forward.
        on_chunk: after every finished chunk. cancelled: asked before every model forward; True raises `Cancelled`,
        whose `state` holds the chunks finished so far.
        """
        prompts = self._prompts(prompt, chunks)
        self._check_state(state)
        entering = self._entering(state, prompts)
        device = self.dit.device

        def stop_if_asked() -> None:
            if cancelled is not None and cancelled():
                raise _Stop

        with torch.no_grad():
            null = self.dit.text_context(self._null_text(state.settings))
            predictor = Predictor(self.dit, self.attention, state.settings, null, before_forward=stop_if_asked)
            run = Run(
                predictor,
                self.dit.text_context,
                start=state.next_chunk,
                anchor=None if state.chunks else state.anchor,
                on_step=on_step,
            )
            try:
                needed = history_needed(state.settings, state.next_chunk)
                run.encode_history({index: state.chunk_latent(index).to(device) for index in needed})
                for chunk in run([replace(c, latent=c.latent.to(device)) for c in entering]):
                    record = ChunkRecord(chunk.chunk, chunk.latent.cpu(), chunk.prompt, chunk.seed)
                    state = state.with_chunk(record)
                    if on_chunk is not None:
                        on_chunk(record)
            except _Stop:
                raise Cancelled(state) from None
        return state

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Frames of chunks `start` to `stop` (exclusive; prefix included) as uint8 blocks [n, H, W, 3], in order.

        Every latent frame gives exactly four frames. Streams: memory does not grow with length.
        """
        if self.vae is None:
            raise MagiError("this engine has no VAE: load one to see frames")
        end = state.next_chunk if state.chunks else -(-state.prefix_latent_frames // CHUNK_FRAMES)
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            raise MagiError(f"cannot decode chunks {start} to {stop}: this video has chunks 0 to {end}")
        latents = state.latents[:, :, start * CHUNK_FRAMES : stop * CHUNK_FRAMES]
        return self.vae.decode(latents, first_frame=start * CHUNK_FRAMES)

    def encode_prompt(self, prompt: Prompt) -> PromptEmbedding:
        """The prompt through the text encoder; already encoded prompts pass through."""
        if isinstance(prompt, PromptEmbedding):
            return prompt
        if self.text_encoder is None:
            raise MagiError("this engine has no text encoder: load one, or pass encoded prompts")
        return self.text_encoder.encode(prompt)

    def _prompts(self, prompt: Prompt | Sequence[Prompt], chunks: int) -> list[PromptEmbedding]:
        if chunks < 1:
            raise MagiError(f"chunks must be at least 1: {chunks}")
        prompts = [prompt] * chunks if isinstance(prompt, str | PromptEmbedding) else list(prompt)
        if len(prompts) != chunks:
            raise MagiError(f"{len(prompts)} prompts for {chunks} chunks: give one prompt for all, or one per chunk")
        encoded: dict[int | str, PromptEmbedding] = {}
        for one in prompts:
            key = one if isinstance(one, str) else id(one)
            if key not in encoded:
                encoded[key] = self.encode_prompt(one)
        return [encoded[one if isinstance(one, str) else id(one)] for one in prompts]

    def _entering(self, state: SamplerState, prompts: Sequence[PromptEmbedding]) -> list[InFlight]:
        chunks, texts = [], {}
        for offset, prompt in enumerate(prompts):
            index = state.next_chunk + offset
            duration = self._duration(state, index)
            key = (id(prompt), duration)
            if key not in texts:
                texts[key] = self._text(state.settings, prompt, duration)
            noise = self.noise(state.seed, index, state.latent_shape)
            chunks.append(InFlight(index, noise, texts[key], prompt.prompt, state.seed))
        return chunks

    def _duration(self, state: SamplerState, index: int) -> int | None:
        if not state.settings.duration_tokens:
            return None
        if state.total_chunks is None:
            return 8
        return max(1, min(8, state.total_chunks - (index - state.first_chunk)))

    def _text(self, settings: SamplingSettings, prompt: PromptEmbedding, duration: int | None) -> Tensor:
        if not len(prompt.tokens):
            return self._null_text(settings)
        names = prompt.special_tokens if prompt.special_tokens is not None else settings.special_tokens
        limit = self.dit.config.caption_max_length
        return assemble_text(prompt.tokens, self._special(settings), names, duration, limit)

    def _null_text(self, settings: SamplingSettings) -> Tensor:
        null = self.dit.y_embedder.null_caption_embedding.detach().float().cpu()
        return assemble_null(null, self._special(settings), settings.negative_tokens)

    def _special(self, settings: SamplingSettings) -> SpecialTokens | None:
        wanted = settings.special_tokens or settings.duration_tokens or settings.negative_tokens
        if wanted and self.special_tokens is None:
            raise MagiError(
                "special tokens are switched on, but this engine has none: put special_tokens.npz beside the model, "
                "or switch off special, duration and negative tokens"
            )
        return self.special_tokens

    def _check_state(self, state: SamplerState) -> None:
        if state.channels != self.dit.config.latent_channels:
            raise MagiError(
                f"this state has latents of {state.channels} channels, the model {self.dit.config.latent_channels}"
            )


def check_size(width: int, height: int) -> None:
    """Raise `MagiError` unless both sides are multiples of 16 pixels."""
    for name, value in (("width", width), ("height", height)):
        if value < SIZE_MULTIPLE or value % SIZE_MULTIPLE:
            below = value // SIZE_MULTIPLE * SIZE_MULTIPLE
            use = f"{below} or {below + SIZE_MULTIPLE}" if below >= SIZE_MULTIPLE else f"{SIZE_MULTIPLE}"
            raise MagiError(f"{name} must be a multiple of {SIZE_MULTIPLE}: {value} -> use {use}")
