"""`Engine`: a model ready to sample. Begin a state, extend it chunk by chunk, decode it to frames."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention
from magi_core.cache.engine_cache import EngineCache
from magi_core.config import PIXELS_PER_LATENT, SamplingSettings
from magi_core.digest import digest
from magi_core.dit import DiT
from magi_core.errors import MagiError
from magi_core.kernels.compilation import Compiler
from magi_core.sampling import extension
from magi_core.sampling.cost import run_cost
from magi_core.sampling.loop import StepEvent
from magi_core.sampling.noise import chunk_noise
from magi_core.sampling.window import Slot
from magi_core.state import ChunkRecord, SamplerState
from magi_core.state.decode import TakeDecoder
from magi_core.story.direction import Directions, check_ranges, encode_directions, per_chunk
from magi_core.text.chunk_text import ChunkTexts, Prompt
from magi_core.text.conditioning import PromptEmbedding

if TYPE_CHECKING:
    from magi_core.text import SpecialTokens, TextEncoder
    from magi_core.vae import VAE

SIZE_MULTIPLE = PIXELS_PER_LATENT * 2


class Engine:
    """A transformer with what surrounds it. Only `dit` is needed to sample; text and pixels need their encoders.

    settings: sampling defaults of this engine. special_tokens: the learned tokens prepended to prompts, or None.
    noise: `(seed, chunk index, shape) -> Tensor`; tests inject recorded noise here.
    cache: K/V pages, finished chunks and frontiers by content, shared by copies of the engine.
    compiler: compiles parts of the transformer, or None.
    """

    PARTS = (
        "vae",
        "text_encoder",
        "special_tokens",
        "settings",
        "attention",
        "fingerprint",
        "noise",
        "cache",
        "compiler",
    )

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
        cache: EngineCache | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        if vae is not None and vae.z_channels != dit.config.latent_channels:
            raise MagiError(
                f"this VAE makes latents of {vae.z_channels} channels, but the model denoises "
                f"{dit.config.latent_channels}: choose the VAE that belongs to the model"
            )
        self.dit, self.vae, self.text_encoder, self.special_tokens = dit, vae, text_encoder, special_tokens
        self.settings = settings or SamplingSettings.for_model(dit.config)
        self.attention, self.fingerprint, self.noise = attention, fingerprint, noise
        self.compiler = compiler
        self._identity = fingerprint or uuid.uuid4().hex  # weights without a fingerprint are like no others
        self.cache = cache or EngineCache(dit.device)
        null = dit.y_embedder.null_caption_embedding.detach().float().cpu()
        self.texts = ChunkTexts(text_encoder, special_tokens, null)

    def with_settings(self, **changes: Any) -> Engine:
        """A copy that shares the weights and samples with other settings."""
        return self.copy(settings=self.settings.with_changes(**changes))

    def copy(self, **parts: Any) -> Engine:
        """A copy with some constructor arguments replaced; weights are shared."""
        return type(self)(parts.pop("dit", self.dit), **{name: getattr(self, name) for name in self.PARTS} | parts)

    def at_work(self, state: SamplerState, stop: int) -> AbstractContextManager[None]:
        """Entered while the transformer works on `state`, to chunk `stop`; hosts that place its weights override it."""
        return nullcontext()

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
            from magi_core.vae.prefix import encode_prefix  # brings in the video codecs, which sampling does without

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
        prompt: Directions,
        chunks: int = 1,
        *,
        handoff: str = "clean",
        drain: bool = True,
        settings: SamplingSettings | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        on_chunk: Callable[[ChunkRecord], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> SamplerState:
        """A new state with more chunks; `state` stays as it is.

        prompt: one for all new chunks, or one per chunk; "" renders as null text. A `StoryChunk` in place of a prompt,
        or a `Storyboard` in place of the list, also says how a chunk follows, its KV ranges, noise and special tokens;
        a storyboard's first chunk is the first new one.
        chunks: how many share one prompt; several prompts, or a storyboard, bring their own count.
        handoff: "clean" goes on from the finished chunks, as video continuation does, and costs about what the new
        chunks cost. "continuous" goes on from the pipeline as it stood before the next chunk would have entered: the
        same video as one long run; the stages that drained the pipeline are redone with the new chunks in it.
        drain: False leaves the last chunks in flight (`state.pending`) for the next extend to finish; a chain of such
        extends costs what one run costs.
        settings: for these chunks, in place of the state's; other settings, like other weights, need a clean handoff.
        on_step: after every forward. on_chunk: after every finished chunk. cancelled: asked before every model forward;
        True raises `Cancelled`, whose `state` holds the chunks finished so far.
        What the engine remembers of earlier runs is not computed again. Notes on fallbacks are added to `state.notes`.
        """
        done = len(state.chunks)
        how = {"handoff": handoff, "drain": drain, "settings": settings, "on_step": on_step, "cancelled": cancelled}
        for extended in self.stream(state, prompt, chunks, **how):
            if on_chunk is not None and len(extended.chunks) > done:
                on_chunk(extended.chunks[-1])
            done = len(extended.chunks)
        return extended

    def stream(
        self,
        state: SamplerState,
        prompt: Directions,
        chunks: int = 1,
        *,
        handoff: str = "clean",
        drain: bool = True,
        settings: SamplingSettings | None = None,
        on_step: Callable[[StepEvent], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[SamplerState]:
        """`extend`, yielding a state after every chunk that becomes clean; the last one is what `extend` returns."""
        directions = per_chunk(prompt, chunks)
        check_ranges(directions, settings or state.settings)
        prompts = encode_directions(directions, self.texts)
        given = state
        state, frontier = extension.start(self, state, handoff, settings)
        way = extension.continuation(self, state, frontier, prompts)
        yield from extension.walk(self, given, state, way, drain=drain, on_step=on_step, cancelled=cancelled)

    def drain(
        self,
        state: SamplerState,
        *,
        on_step: Callable[[StepEvent], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> SamplerState:
        """Finish the chunks that were left in flight; a state without any comes back as it is."""
        if not state.pending:
            return state
        begun, frontier = extension.start(self, state, "continuous")
        way = extension.continuation(self, begun, frontier, [])
        *_, drained = extension.walk(self, state, begun, way, drain=True, on_step=on_step, cancelled=cancelled)
        return drained

    def cost(self, state: SamplerState, chunks: int = 1, *, handoff: str = "clean", drain: bool = True) -> int:
        """Chunk-forwards that `extend` would take, remembered results and missing K/V pages aside.

        In steady state a chunk costs `cost(state, n + 1) - cost(state, n)`; what a single extend costs more is the
        filling and draining of the window.
        """
        _, frontier = extension.start(self, state, handoff)
        again = state.next_chunk - frontier.next_chunk
        return run_cost(
            state.settings,
            self.dit.config.distill,
            start=frontier.next_chunk,
            count=chunks + max(0, again),
            run_start=frontier.run_start,
            in_flight=[Slot(chunk.chunk, chunk.stage) for chunk in frontier.chunks],
            drain=drain,
        )

    @property
    def model_key(self) -> str:
        """What beside settings and inputs a result depends on: weights, their kind and precision, and the noise.

        Not how attention is computed and what is compiled: that moves last bits only, and switching it on in the middle
        of a take should neither break its continuation nor throw away what is remembered.
        """
        noise = "" if self.noise is chunk_noise else repr(self.noise)
        return digest(self._identity, self.dit.config, self.dit.dtype, noise)

    def differences(self, state: SamplerState) -> tuple[str, ...]:
        """What this model is other in than the one `state` was made with, in words; empty for the same weights."""
        return extension.differences(self, state)

    def remembered(self, state: SamplerState) -> SamplerState:
        """`state` with every earlier frontier that this engine still holds, so that a saved take can be continued
        exactly from any of those points (`state.save(path, all_frontiers=True)`, `state.at`)."""
        own = {frontier.key: frontier for frontier in state.frontiers}
        keys = [record.key for record in state.chunks[:-1] if record.key]
        found = [own.get(key) or self.cache.frontiers.get(key) for key in keys]
        return replace(state, frontiers=tuple(frontier for frontier in found if frontier is not None))

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Frames of chunks `start` to `stop` (exclusive; prefix included) as uint8 blocks [n, H, W, 3], in order.

        Every latent frame gives exactly four frames (with `reference_quirks`, a tile of one latent frame gives one).
        Streams: memory does not grow with length.
        """
        if self.vae is None:
            raise MagiError("this engine has no VAE: load one to see frames")
        return TakeDecoder(self.vae).decode(state, start=start, stop=stop)

    def encode_prompt(self, prompt: Prompt) -> PromptEmbedding:
        """The prompt through the text encoder; already encoded prompts pass through."""
        return self.texts.encode(prompt)


def check_size(width: int, height: int) -> None:
    """Raise `MagiError` unless both sides are multiples of 16 pixels."""
    for name, value in (("width", width), ("height", height)):
        if value < SIZE_MULTIPLE or value % SIZE_MULTIPLE:
            below = value // SIZE_MULTIPLE * SIZE_MULTIPLE
            use = f"{below} or {below + SIZE_MULTIPLE}" if below >= SIZE_MULTIPLE else f"{SIZE_MULTIPLE}"
            raise MagiError(f"{name} must be a multiple of {SIZE_MULTIPLE}: {value} -> use {use}")
