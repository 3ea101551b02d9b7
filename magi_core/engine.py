"""`Engine`: a model ready to sample. Begin a state, extend it chunk by chunk, decode it to frames."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from magi_core.attention import Attention, sdpa
from magi_core.config import CHUNK_FRAMES, PIXELS_PER_LATENT, SamplingSettings
from magi_core.continuation import (
    Continuation,
    begun_again,
    chained,
    clean_frontier,
    find_frontier,
    known_records,
    record_of,
    resume,
)
from magi_core.direction import (
    DirectedPrompt,
    Directions,
    check_ranges,
    encode_directions,
    entering_chunks,
    per_chunk,
)
from magi_core.dit import DiT
from magi_core.errors import Cancelled, MagiError
from magi_core.sampling.cost import run_cost
from magi_core.sampling.forward import Predictor
from magi_core.sampling.noise import chunk_noise
from magi_core.sampling.pages import PageBook
from magi_core.sampling.plan import Slot
from magi_core.sampling.sampler import Run, StepEvent
from magi_core.state import ChunkRecord, Frontier, SamplerState
from magi_core.state.digest import digest
from magi_core.state.memory import Memory, page_budget
from magi_core.text.chunk_text import ChunkTexts, Prompt
from magi_core.text.conditioning import PromptEmbedding

if TYPE_CHECKING:
    from magi_core.text import SpecialTokens, TextEncoder
    from magi_core.vae import VAE

SIZE_MULTIPLE = PIXELS_PER_LATENT * 2


class _Stop(Exception):
    """Raised between forwards when the caller asked to stop."""


class Engine:
    """A transformer with what surrounds it. Only `dit` is needed to sample; text and pixels need their encoders.

    settings: sampling defaults of this engine. special_tokens: the learned tokens prepended to prompts, or None.
    noise: `(seed, chunk index, shape) -> Tensor`; tests inject recorded noise here.
    memory: K/V pages, finished chunks and frontiers by content, shared by copies of the engine.
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
        memory: Memory | None = None,
    ) -> None:
        if vae is not None and vae.z_channels != dit.config.latent_channels:
            raise MagiError(
                f"this VAE makes latents of {vae.z_channels} channels, but the model denoises "
                f"{dit.config.latent_channels}: choose the VAE that belongs to the model"
            )
        self.dit, self.vae, self.text_encoder, self.special_tokens = dit, vae, text_encoder, special_tokens
        self.settings = settings or SamplingSettings.for_model(dit.config)
        self.attention, self.fingerprint, self.noise = attention, fingerprint, noise
        self._identity = fingerprint or uuid.uuid4().hex  # weights without a fingerprint are like no others
        self.memory = memory or Memory(page_budget(dit.device))
        null = dit.y_embedder.null_caption_embedding.detach().float().cpu()
        self.texts = ChunkTexts(text_encoder, special_tokens, null)

    def with_settings(self, **changes: Any) -> Engine:
        """A copy that shares the weights and samples with other settings."""
        return self.copy(settings=self.settings.with_changes(**changes))

    def copy(self, **parts: Any) -> Engine:
        """A copy with some constructor arguments replaced; weights are shared."""
        names = ("vae", "text_encoder", "special_tokens", "settings", "attention", "fingerprint", "noise", "memory")
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
            from magi_core.prefix import encode_prefix  # brings in the video codecs, which sampling does without

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
        state, frontier = self._start(state, handoff, settings)
        yield from self._run(given, state, self._continue(state, frontier, prompts), drain, on_step, cancelled)

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
        begun, frontier = self._start(state, "continuous", None)
        *_, drained = self._run(state, begun, self._continue(begun, frontier, []), True, on_step, cancelled)
        return drained

    def cost(self, state: SamplerState, chunks: int = 1, *, handoff: str = "clean", drain: bool = True) -> int:
        """Chunk-forwards that `extend` would take, remembered results and missing K/V pages aside.

        In steady state a chunk costs `cost(state, n + 1) - cost(state, n)`; what a single extend costs more is the
        filling and draining of the window.
        """
        _, frontier = self._start(state, handoff, None)
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

    def _start(
        self, state: SamplerState, handoff: str, settings: SamplingSettings | None
    ) -> tuple[SamplerState, Frontier]:
        """The state with settings and notes of this extend, and the frontier it goes on from."""
        if state.channels != self.dit.config.latent_channels:
            raise MagiError(
                f"this state has latents of {state.channels} channels, the model {self.dit.config.latent_channels}"
            )
        settings = settings or state.settings
        changed = [
            name
            for name, other in (
                ("weights", state.fingerprint != self.fingerprint),
                ("settings", settings != state.settings),
            )
            if other
        ]
        asked = handoff == "continuous" or bool(state.pending)
        state = replace(state, settings=settings, fingerprint=self.fingerprint)
        if changed and asked and state.next_chunk > state.first_chunk:
            note = f"other {' and '.join(changed)} than before: continued from the finished chunks"
            return replace(state, notes=(*state.notes, note)), clean_frontier(state, self._model_key())
        frontier, note = find_frontier(state, handoff, self._model_key(), self.memory)
        return (replace(state, notes=(*state.notes, note)) if note else state), frontier

    def _continue(self, state: SamplerState, frontier: Frontier, prompts: Sequence[DirectedPrompt]) -> Continuation:
        """New chunks behind `frontier`; chunks in flight that it does not hold are begun again before them."""
        again = begun_again(state, self.noise) if frontier.next_chunk < state.next_chunk else []
        new = entering_chunks(state, prompts, self.texts, self.noise)
        return Continuation(frontier, chained(frontier, [*again, *new]))

    def _run(
        self,
        given: SamplerState,
        state: SamplerState,
        continuation: Continuation,
        drain: bool,
        on_step: Callable[[StepEvent], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Iterator[SamplerState]:
        """Walk the continuation: hand out what is remembered, compute the rest, remember it.

        given: the state as it came in; `state` has the settings and notes of this extend.
        """
        memory = self.memory
        unfinished = continuation.unfinished(state.finished)
        last = unfinished[-1] if unfinished else None
        for record in known_records(continuation, state.finished, memory):
            state = replace(state.with_chunk(record), frontier=None)
            if record.key == last.key:
                state = replace(state, frontier=memory.frontiers.get(last.key))
            yield state
        if state.finished > last.chunk:
            return
        continuation = resume(continuation, state.finished, memory)
        latest = continuation.frontier

        def remember(frontier: Frontier) -> None:
            nonlocal latest
            latest = frontier
            memory.frontiers.put(frontier.key, frontier)

        def stop_if_asked() -> None:
            if cancelled is not None and cancelled():
                raise _Stop

        run = self._prepared_run(lambda: state, continuation.frontier, stop_if_asked, on_step, remember)
        try:
            for chunk in run(continuation.frontier, continuation.entering, drain=drain):
                if chunk.chunk < state.finished:  # handed out before, redone with the new chunks in the window
                    continue
                latent = chunk.latent.cpu()
                memory.chunks.put(chunk.key, latent)
                state = state.with_chunk(record_of(chunk, latent, continuation.frontier.run_start))
                state = replace(state, frontier=latest if chunk.key == last.key else None)
                yield state
        except _Stop:
            if latest.next_chunk < given.next_chunk:  # chunks in flight were to begin again and have not yet
                raise Cancelled(given) from None
            raise Cancelled(replace(state, frontier=latest if given.pending else None)) from None
        if not drain:
            yield replace(state, frontier=latest)

    @torch.no_grad()
    def _prepared_run(
        self,
        state: Callable[[], SamplerState],
        frontier: Frontier,
        before_forward: Callable[[], None],
        on_step: Callable[[StepEvent], None] | None,
        on_boundary: Callable[[Frontier], None],
    ) -> Run:
        settings, first = state().settings, state().first_chunk
        null_text = self.texts.null(settings)
        null = self.dit.text_context(null_text)
        predictor = Predictor(self.dit, self.attention, settings, null, before_forward=before_forward)
        schedule = (settings.clean_t, settings.steps, settings.shortcut)
        pages = digest(self._model_key(), state().latent_shape, schedule, null_text)
        return Run(
            predictor,
            self.dit.text_context,
            PageBook(predictor, self.memory.pages, pages, frontier.run_start),
            lambda index: state().chunk_latent(index),
            anchor=state().anchor if frontier.run_start == first else None,
            on_step=on_step,
            on_boundary=on_boundary,
        )

    def _model_key(self) -> str:
        """What beside settings and inputs a result depends on: weights, their kind and their precision."""
        return digest(self._identity, self.dit.config, self.dit.dtype)

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Frames of chunks `start` to `stop` (exclusive; prefix included) as uint8 blocks [n, H, W, 3], in order.

        Every latent frame gives exactly four frames (with `reference_quirks`, a tile of one latent frame gives one).
        Streams: memory does not grow with length.
        """
        if self.vae is None:
            raise MagiError("this engine has no VAE: load one to see frames")
        end = state.finished if state.chunks else -(-state.prefix_latent_frames // CHUNK_FRAMES)
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            raise MagiError(f"cannot decode chunks {start} to {stop}: this video has chunks 0 to {end}")
        latents = state.latents_between(start, stop)
        quirks = state.settings.reference_quirks
        return self.vae.decode(latents, first_frame=start * CHUNK_FRAMES, reference_quirks=quirks)

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
