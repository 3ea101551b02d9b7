"""`Engine`: a model ready to sample. Begin a state, extend it chunk by chunk, decode it to frames."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from magi_core.attention.sage import sage_attention
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention
from magi_core.cache.engine_cache import EngineCache
from magi_core.config import FRAMES_PER_LATENT, MAX_CHUNKS, SamplingSettings, is_whole
from magi_core.digest import digest
from magi_core.dit import DiT
from magi_core.errors import MagiError, echo
from magi_core.host import Alone, Host
from magi_core.kernels.compilation import Compiler
from magi_core.sampling.events import Stepped
from magi_core.sampling.extension import Extension
from magi_core.sampling.handoff import differences, with_frontiers
from magi_core.sampling.noise import chunk_noise
from magi_core.sampling.plan import plan
from magi_core.sampling.retouch import retouched
from magi_core.sampling.run import run
from magi_core.sampling.second_pass import USUAL_STRENGTH, SecondPass
from magi_core.state import ChunkRecord, SamplerState
from magi_core.state.decode import TakeDecoder
from magi_core.state.plausible import implausible
from magi_core.story.direction import Directions, per_chunk
from magi_core.text.chunk_text import ChunkTexts, Encoder, Prompt
from magi_core.text.conditioning import PromptEmbedding
from magi_core.video.rate import exact_fps
from magi_core.video.size import check_size

if TYPE_CHECKING:
    from magi_core.text import SpecialTokens
    from magi_core.vae import VAE

USUAL_SIZE = (720, 720)
FAR_OFF = 3  # times as many pixels as the model was made for, or a third
MAX_SEED = 2**64 - 1


@dataclass(frozen=True, eq=False)
class Engine:
    """A transformer with what surrounds it. Only `dit` is needed to sample; text and pixels need their encoders.

    settings: sampling defaults of this engine; None takes the model's. special_tokens: the learned tokens prepended to
    prompts, or None. fingerprint: names the weights; without one they are like no others.
    weights_digest: of all tensors of the weights, or "".
    own_vae: names the VAE that the transformer's latents belong to where it is not loaded here; "" where not known.
    noise: `(seed, chunk index, shape) -> Tensor`; tests inject recorded noise here.
    cache: K/V pages, finished chunks and frontiers by content, shared by copies of the engine.
    size: width and height the model was made for.
    compiler: compiles parts of the transformer, or None. host: what places the weights.
    """

    dit: DiT
    vae: VAE | None = None
    text_encoder: Encoder | None = None
    special_tokens: SpecialTokens | None = None
    settings: SamplingSettings = None  # type: ignore[assignment]  # filled in, so that readers need not ask
    attention: Attention = sdpa
    fingerprint: str = ""
    weights_digest: str = ""
    own_vae: str = ""
    noise: Callable[[int, int, tuple[int, ...]], Tensor] = chunk_noise
    cache: EngineCache = None  # type: ignore[assignment]
    compiler: Compiler | None = None
    host: Host = field(default_factory=Alone)
    size: tuple[int, int] = USUAL_SIZE

    def __post_init__(self) -> None:
        if self.vae is not None and self.vae.z_channels != self.dit.config.latent_channels:
            raise MagiError(
                f"this VAE makes latents of {self.vae.z_channels} channels, but the model denoises "
                f"{self.dit.config.latent_channels}: choose the VAE that belongs to the model"
            )
        if self.settings is None:
            object.__setattr__(self, "settings", SamplingSettings.for_model(self.dit.config))
        if self.cache is None:
            object.__setattr__(self, "cache", EngineCache(self.dit.device))

    @cached_property
    def texts(self) -> ChunkTexts:
        """Prompts to what chunks read."""
        null = self.dit.y_embedder.null_caption_embedding.detach().float().cpu()
        return ChunkTexts(self.text_encoder, self.special_tokens, null)

    def with_settings(self, **changes: Any) -> Engine:
        """A copy that shares the weights and samples with other settings."""
        return self.copy(settings=self.settings.with_changes(**changes))

    def copy(self, **parts: Any) -> Engine:
        """A copy with some fields replaced; weights are shared."""
        return replace(self, **parts)

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
        filled: int = 0,
        fit: str = "crop",
    ) -> SamplerState:
        """An empty state, or one that starts from an image or a video.

        width, height: pixels, multiples of 16. fps: of the finished video; the model was trained at 24.
        steps: Euler steps per chunk, default from the settings.
        image: [H, W, 3] uint8 or float in 0..1, becomes the first frame.
        video: [T, H, W, 3] or a `vae.given.GivenVideo`, is continued; any length (one that is not a multiple of 4 is
        filled up with repeats of its first frame, because a latent covers 4 frames).
        fit: how both get to the size: "crop", "pad" or "stretch". prefix: latents [1, C, p, h, w] in place of either.
        filled: decoded frames of `prefix`, 0 to 3, that only fill it up in front: see `SamplerState.filled`.
        total_chunks: length announced to the model; None announces no end.
        Raises `MagiError` for sizes, steps and inputs that cannot work, before any work is done.
        """
        check_size(width, height)
        settings = self.settings if steps is None else self.settings.with_changes(steps=steps)
        _check_begin(fps, seed, total_chunks)
        if sum(given is not None for given in (image, video, prefix)) > 1:
            raise MagiError("give an image or a video to start from, not both")
        notes: tuple[str, ...] = ()
        if image is not None or video is not None:
            prefix, filled, notes = self._encoded(width, height, image, video, fit)
        state = SamplerState(
            width=width,
            height=height,
            fps=float(fps),
            seed=seed,
            settings=settings,
            channels=self.dit.config.latent_channels,
            fingerprint=self.fingerprint,
            weights_digest=self.weights_digest,
            vae=self.vae_identity,
            total_chunks=total_chunks,
            notes=notes,
        )
        return state if prefix is None else _with_prefix(state, prefix, filled)

    def _encoded(
        self, width: int, height: int, image: Tensor | Any, video: Tensor | Any, fit: str
    ) -> tuple[Tensor, int, tuple[str, ...]]:
        """The prefix that an image or a video makes, the frames that fill it up, and notes: see `begin`."""
        from magi_core.vae.given import GivenVideo, given_frames  # brings in codecs, which sampling does without
        from magi_core.vae.prefix import encode_continued, encode_image, missing_frames

        if self.vae is None:
            raise MagiError("this engine has no VAE: load one to start from an image or a video")
        self._make_way(width, height)
        if video is None:
            prefix, notes = encode_image(self.vae, image, width=width, height=height, policy=fit)
            return prefix, 0, notes
        if isinstance(video, GivenVideo):  # whoever looked it through has its own notes
            prefix, notes = encode_continued(self.vae, video)
            return prefix, missing_frames(len(video)), notes
        given = given_frames(video, width=width, height=height, policy=fit)
        prefix, notes = encode_continued(self.vae, given)
        return prefix, missing_frames(len(given)), (*given.notes, *notes)

    def begin_again(self, take: SamplerState, *, seed: int | None = None) -> SamplerState:
        """An empty state for a second pass over `take`, of its size, rate, announced length, given frames and sound,
        with the settings and the model of this engine. seed: None takes the take's."""
        begun = self.begin(
            width=take.width,
            height=take.height,
            seed=take.seed if seed is None else seed,
            fps=take.fps,
            total_chunks=take.total_chunks,
        )
        given = replace(begun, prefix=take.prefix, prefix_key=take.prefix_key, filled=take.filled)
        return replace(given, sound=take.sound, vae=begun.vae or take.vae)

    def plan(
        self,
        state: SamplerState,
        directions: Directions,
        chunks: int = 1,
        *,
        handoff: str = "clean",
        drain: bool = True,
        settings: SamplingSettings | None = None,
        end: int | None = None,
        source: SamplerState | None = None,
        strength: float = USUAL_STRENGTH,
    ) -> Extension:
        """What extending `state` comes to, before anything runs: see `Extension` for what it tells.

        directions: one prompt for all new chunks, or one per chunk; "" renders as null text. A `ChunkSpec` in place of
        a prompt, or a `Storyboard` in place of the list, also says how a chunk follows, its KV ranges, noise and
        special tokens; a storyboard's first chunk is the first new one.
        chunks: how many share one prompt; several prompts, or a storyboard, bring their own count.
        handoff: "clean" goes on from the finished chunks, as video continuation does, and costs about what the new
        chunks cost. "continuous" goes on from the pipeline as it stood before the next chunk would have entered: the
        same video as one long run; the stages that drained the pipeline are redone with the new chunks in it.
        A state at which a run was broken off goes on with that run, whichever handoff is asked for, where `directions`
        begin with what was in flight then: the same video as without the break. `state.at(state.finished)` leaves the
        run behind.
        drain: False leaves the last chunks in flight (`state.pending`) for the next extend to finish; a chain of such
        extends costs what one run costs.
        settings: for these chunks, in place of the state's; other settings, like other weights, need a clean handoff.
        end: video frames after which the longer video ends, inside its last chunk; None: with that chunk.
        source: a take whose chunks the new ones at the same places are made from, a second pass; a video is one that
        was only given (`begin(prefix=...)` with the latents of `vae.source.encode_source`).
        strength: of chunks that say none themselves: 0 keeps the source, bit for bit and without a forward, 1 makes all
        anew; at .5 layout and motion stay and looks change.
        What the engine remembers of earlier runs is not computed again. No model runs, unless prompts need an encoder
        that cannot tell what its result depends on. Raises `MagiError` for what cannot be done.
        """
        if end is not None and not (is_whole(end) and end >= 1):
            raise MagiError(f"the video can end after 1 or more whole frames: {echo(end)}")
        each = per_chunk(directions, chunks)
        second = None if source is None else SecondPass(source, strength)
        return plan(self, state, each, handoff=handoff, drain=drain, settings=settings, end=end, second=second)

    def retouch(
        self,
        take: SamplerState,
        directions: Directions,
        first: int,
        chunks: int = 1,
        *,
        strength: float = USUAL_STRENGTH,
        join: int = 0,
        handoff: str = "clean",
    ) -> Extension:
        """The plan that makes chunks of `take` anew from `first` on and keeps all after them bit for bit.

        directions, chunks: of the chunks made anew, as in `plan`. strength, join: see `retouched`. Where as many chunks
        as the longest KV range reaches back are kept at the end, going on from there is what it was for `take`.
        """
        told = retouched(take, per_chunk(directions, chunks), first, strength, join)
        return self.plan(take.at(first), told, handoff=handoff, end=take.end, source=take)

    def run(
        self,
        extension: Extension,
        *,
        on_step: Callable[[Stepped], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[SamplerState]:
        """Do what `plan` answered: a state after every chunk that becomes clean; the last one is the longer video.

        on_step: after every Euler step. cancelled: asked before every model forward; True raises `Cancelled`, whose
        `state` holds the chunks finished so far. Notes on fallbacks are added to `state.notes`.
        """
        return run(self, extension, on_step=on_step, cancelled=cancelled)

    def extend(
        self,
        state: SamplerState,
        prompt: Directions,
        chunks: int = 1,
        *,
        on_step: Callable[[Stepped], None] | None = None,
        on_chunk: Callable[[ChunkRecord], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **how: Any,
    ) -> SamplerState:
        """A new state with more chunks; `state` stays as it is.

        how: handoff, drain, settings, end, source and strength, as in `plan`. on_chunk: after every finished chunk. The
        rest as in `run`.
        """
        done, extended = len(state.chunks), state
        for extended in self.stream(state, prompt, chunks, on_step=on_step, cancelled=cancelled, **how):
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
        on_step: Callable[[Stepped], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **how: Any,
    ) -> Iterator[SamplerState]:
        """`extend`, yielding a state after every chunk that becomes clean; the last one is what `extend` returns."""
        return self.run(self.plan(state, prompt, chunks, **how), on_step=on_step, cancelled=cancelled)

    def drain(
        self,
        state: SamplerState,
        *,
        on_step: Callable[[Stepped], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> SamplerState:
        """Finish the chunks that were left in flight; a state without any comes back as it is."""
        if not state.pending:
            return state
        extension = plan(self, state, [], handoff="continuous", drain=True, end=state.end)
        *_, drained = self.run(extension, on_step=on_step, cancelled=cancelled)
        return drained

    @property
    def model_key(self) -> str:
        """What beside settings and inputs a result depends on: weights, their kind and precision, and the noise.

        Not how attention is computed and what is compiled: that moves last bits only, and switching it on in the middle
        of a take should neither break its continuation nor throw away what is remembered. Attention in 8 bits is told.
        """
        noise = "" if self.noise is chunk_noise else _name_of(self.noise)
        rounded = ("sage",) if self.attention is sage_attention else ()
        return digest(self.fingerprint or _name_of(self.dit), self.dit.config, self.dit.dtype, noise, *rounded)

    @property
    def vae_identity(self) -> str:
        """Names the VAE that reads and writes latents here; "" where that is not known."""
        return self.own_vae if self.vae is None else self.vae.identity or self.own_vae

    def differences(self, state: SamplerState) -> tuple[str, ...]:
        """What this model is other in than the one `state` was made with, in words; empty for the same weights."""
        return differences(self, state)

    def remembered(self, state: SamplerState) -> SamplerState:
        """`state` with every earlier frontier that this engine still holds, so that a saved take can be continued
        exactly from any of those points (`state.save(path, all_frontiers=True)`, `state.at`)."""
        return with_frontiers(state, self.cache)

    def recall(self, take: SamplerState) -> None:
        """Remember what `take` holds as if this engine had made it just now: a run that is planned again finds its
        finished chunks and the point where it was broken off."""
        self.cache.recall(take)

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Frames of chunks `start` to `stop` (exclusive; prefix included) as uint8 blocks [n, H, W, 3], in order.

        Every latent frame gives exactly four frames (with `reference_quirks`, a tile of one latent frame gives one).
        Streams: memory does not grow with length.
        """
        if self.vae is None:
            raise MagiError("this engine has no VAE: load one to see frames")
        self._make_way(state.width, state.height)
        return TakeDecoder(self.vae).decode(state, start=start, stop=stop)

    def _make_way(self, width: int, height: int) -> None:
        """K/V pages that are kept on the device leave room there for the VAE at a size in pixels."""
        pages = self.cache.pages
        left = self.cache.kept_beside(self.host.spare(self.decoding_bytes(width, height)))
        pages.resize(device_bytes=min(pages.stats.budget, left))

    def decoding_bytes(self, width: int, height: int) -> int:
        """Bytes that decoding one chunk takes on the transformer's device; 0 where the VAE is elsewhere, or nowhere."""
        if self.vae is None or self.vae.device != self.dit.device:
            return 0
        return self.vae.decoding_bytes(width, height)

    def far_from_own_size(self, width: int, height: int) -> str:
        """A warning where a video has many more or fewer pixels than the model was made for; "" elsewhere."""
        own = self.size[0] * self.size[1]
        if own / FAR_OFF <= width * height <= own * FAR_OFF:
            return ""
        return (
            f"{width}x{height} is far from what this model was made for ({self.size[0]}x{self.size[1]}): expect worse "
            "pictures" + (", and a long wait" if width * height > own else "")
        )

    def encode_prompt(self, prompt: Prompt) -> PromptEmbedding:
        """The prompt through the text encoder; already encoded prompts pass through."""
        return self.texts.encode(prompt)


_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _name_of(thing: Any) -> str:
    """A name of its own for something that has none, for as long as it lives."""
    return _names.setdefault(thing, uuid.uuid4().hex)


def _with_prefix(state: SamplerState, prefix: Tensor, filled: int) -> SamplerState:
    """`state` that starts from latents [1, C, p, h, w]; `MagiError` for those of another size or model."""
    if not is_whole(filled) or not 0 <= filled < FRAMES_PER_LATENT:
        raise MagiError(f"0 to {FRAMES_PER_LATENT - 1} frames can fill a given video up: {echo(filled)}")
    channels, _, rows, columns = state.latent_shape
    if prefix.ndim != 5 or (*prefix.shape[:2], *prefix.shape[3:]) != (1, channels, rows, columns):
        raise MagiError(
            f"these latents have shape {list(prefix.shape)}; for {state.width}x{state.height} they must "
            f"be [1, {channels}, frames, {rows}, {columns}]: encode the image or video at this size"
        )
    given = prefix.detach().to("cpu", torch.float32, copy=True)
    if wrong := implausible(given):
        raise MagiError(
            f"what the video is to start from has {wrong}: choose another image or video, or load the VAE with more "
            "precision"
        )
    return replace(state, prefix=given, prefix_key=digest(given), filled=filled)


def _check_begin(fps: float, seed: int, total_chunks: int | None) -> None:
    """Raise `MagiError` for numbers that no take can have."""
    if isinstance(fps, int | float) and fps <= 0:
        raise MagiError(f"fps must be above 0: {fps}")
    exact_fps(fps)
    if not is_whole(seed) or not 0 <= seed <= MAX_SEED:
        raise MagiError(f"the seed must be a whole number from 0 to 2^64 - 1: {echo(seed)}")
    if total_chunks is not None and not (is_whole(total_chunks) and 1 <= total_chunks <= MAX_CHUNKS):
        raise MagiError(f"total_chunks must be at least 1, or None for an open end: {echo(total_chunks)}")
