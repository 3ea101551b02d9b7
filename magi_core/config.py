"""Settings as frozen dataclasses: what a model is (`DiTConfig`) and how it is sampled (`SamplingSettings`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from magi_core.errors import MagiError, echo

MAX_STEPS = 10_000
CHUNK_FRAMES = 6  # latent frames in a chunk
FRAMES_PER_LATENT = 4  # video frames in a latent frame
PIXELS_PER_LATENT = 8  # pixels along one side of a latent cell
VIDEO_FRAMES_PER_CHUNK = CHUNK_FRAMES * FRAMES_PER_LATENT
# Largest sizes of a transformer that are believed; a file may claim any.
MOST = {"num_layers": 1000, "hidden_size": 1 << 17, "ffn_hidden_size": 1 << 20, "num_heads": 1 << 12}
MOST |= {"num_groups": 1 << 12, "head_dim": 1 << 12, "caption_channels": 1 << 17, "caption_max_length": 1 << 16}
MOST |= {"in_channels": 1 << 12, "out_channels": 1 << 12, "patch_size": 64, "t_patch_size": 64}
MAX_CHUNKS = 100_000  # of one extend, and of a video that is announced: more than a day
DRAFTS = ("light", "strong")
LATENT_SCALE = 0.18215  # latents travel as VAE output times this factor


@dataclass(frozen=True)
class DiTConfig:
    """Architecture of one MAGI-1 transformer. Every field can be read from the shapes of an official checkpoint.

    `distill` marks the step-distilled variants (one pass, step-size embedding), `fp8` the quantised ones.
    """

    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_heads: int
    num_groups: int
    head_dim: int
    caption_channels: int = 4096
    caption_max_length: int = 800
    in_channels: int = 16
    out_channels: int = 16
    patch_size: int = 2
    t_patch_size: int = 1
    cond_size: int = 0
    gated: bool = False
    half_channel_vae: bool = False
    x_rescale_factor: float = 1.0
    layernorm_epsilon: float = 1e-6
    fp8: bool = False
    distill: bool = False

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise MagiError(f"a model with {name} {echo(value)} cannot be: it is a whole number from 1 to {most:,}")
        if self.cond_size == 0:
            object.__setattr__(self, "cond_size", self.hidden_size // 4)
        if self.num_heads * self.head_dim != self.hidden_size:
            raise MagiError(
                f"{self.num_heads} heads of {self.head_dim} channels do not make a width of {self.hidden_size}"
            )
        if self.num_heads % self.num_groups:
            raise MagiError(f"{self.num_heads} query heads cannot share {self.num_groups} key/value groups evenly")

    @property
    def latent_channels(self) -> int:
        """Channels of the VAE latents this model denoises (half of `in_channels` when they are duplicated)."""
        return self.in_channels // 2 if self.half_channel_vae else self.in_channels

    @property
    def summary(self) -> str:
        """What kind of model this is, for people: "base, 34 layers of 3072, fp8"."""
        kind = "distilled" if self.distill else "base"
        return f"{kind}, {self.num_layers} layers of {self.hidden_size}{', fp8' if self.fp8 else ''}"

    @classmethod
    def from_official_json(cls, config: Mapping[str, Any]) -> DiTConfig:
        """From the JSON the reference ships beside its checkpoints (`model_config` and `engine_config`)."""
        model = config.get("model_config", config)
        engine = config.get("engine_config", {})
        hidden, heads = model["hidden_size"], model["num_attention_heads"]
        return cls(
            num_layers=model["num_layers"],
            hidden_size=hidden,
            ffn_hidden_size=model["ffn_hidden_size"],
            num_heads=heads,
            num_groups=model["num_query_groups"],
            head_dim=hidden // heads,
            caption_channels=model["caption_channels"],
            caption_max_length=model["caption_max_length"],
            in_channels=model["in_channels"],
            out_channels=model["out_channels"],
            patch_size=model["patch_size"],
            t_patch_size=model["t_patch_size"],
            cond_size=int(hidden * model.get("cond_hidden_ratio", 0.25)),
            gated=model["gated_linear_unit"],
            half_channel_vae=model["half_channel_vae"],
            x_rescale_factor=model["x_rescale_factor"],
            layernorm_epsilon=model["layernorm_epsilon"],
            fp8=bool(engine.get("fp8_quant", False)),
            distill=bool(engine.get("distill", False)),
        )


@dataclass(frozen=True)
class Guidance:
    """Guidance scales by timestep: entry k holds for `knots[k] <= t < knots[k + 1]` (t = 0 noise, 1 clean).

    `previous` weighs the influence of earlier chunks, `text` that of the prompt. A text scale of 0 with a previous
    scale of 1 leaves plain prediction from context. Source: reference `get_cfg_scale`.
    """

    knots: tuple[float, ...] = (0.0, 0.0217, 0.1, 0.3, 0.999)
    previous: tuple[float, ...] = (1.5, 1.5, 1.5, 1.0, 1.0)
    text: tuple[float, ...] = (7.5, 7.5, 7.5, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not len(self.knots) == len(self.previous) == len(self.text):
            raise MagiError(
                f"guidance needs one text and one previous-chunk scale per knot: {len(self.knots)} knots, "
                f"{len(self.text)} text scales, {len(self.previous)} previous-chunk scales"
            )
        if list(self.knots) != sorted(self.knots) or not self.knots or self.knots[0] != 0.0:
            raise MagiError(f"guidance knots must rise from 0.0: {self.knots}")

    @classmethod
    def simple(cls, text: float, previous: float, text_late: float = 0.0, previous_late: float = 1.0) -> Guidance:
        """Two levels, as the reference uses them: below t = 0.3 and from there on."""
        return cls((0.0, 0.3), (previous, previous_late), (text, text_late))


@dataclass(frozen=True)
class SamplingSettings:
    """How chunks are denoised. Defaults are the reference's for base models; `for_model` gives them per variant.

    steps: Euler steps per chunk; a multiple of `window` and of the length of `kv_ranges`.
    window: chunks in flight at once.
    kv_ranges: chunks attended to (itself included) by denoising quarter, noisy to clean; empty = whole history.
    clean_kv_range: the same for a finished chunk's own re-encoding; -1 = the last of `kv_ranges`.
    clean_t: timestep at which finished chunks enter the KV cache.
    nearly_clean_blend: distilled models; weight of the prediction with context on the nearly clean chunk.
    shortcut: grid of the 12-step schedule ("8,16,16" or "16,16,8").
    negative_tokens: names of special tokens prepended to the null text.
    reference_quirks: reproduce the reference's defects, nothing else (docs/reference_quirks.md).
    draft: "off", or one of `DRAFTS`: see `sampling.drafts`. Not in the repr, so that digests of settings without it are
    what they were before there were drafts; `sampling.keys` takes it in by itself.
    """

    steps: int = 64
    window: int = 4
    kv_ranges: tuple[int, ...] = (5, 4, 3, 2)
    clean_kv_range: int = 1
    clean_t: float = 0.9999
    guidance: Guidance = Guidance()
    nearly_clean_blend: float = 0.7
    nearly_clean_threshold: float = 0.3
    shortcut: str = "8,16,16"
    negative_tokens: tuple[str, ...] = ()
    special_tokens: tuple[str, ...] = ("HQ",)
    duration_tokens: bool = True
    reference_quirks: bool = False
    draft: str = field(default="off", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kv_ranges", tuple(self.kv_ranges))
        whole = (self.steps, self.window, self.clean_kv_range, *self.kv_ranges)
        if not all(is_whole(number) and abs(number) <= MAX_STEPS for number in whole):
            raise MagiError(
                f"steps, window and KV ranges must be whole numbers of at most {MAX_STEPS:,}: {echo(whole)}"
            )
        for name in ("clean_t", "nearly_clean_blend"):
            if not 0 <= getattr(self, name) <= 1:
                raise MagiError(f"{name} must be from 0 to 1: {echo(getattr(self, name))}")
        if not -1 <= self.nearly_clean_threshold <= 2:  # above 1: never
            raise MagiError(f"nearly_clean_threshold must be from -1 to 2: {echo(self.nearly_clean_threshold)}")
        if self.window < 1 or self.steps < 1:
            raise MagiError(f"steps and window must be at least 1: steps {self.steps}, window {self.window}")
        if self.steps % self.window:
            raise MagiError(
                f"steps must be a multiple of the window ({self.window} chunks in flight): {self.steps} -> use "
                f"{_neighbours(self.steps, self.window)}"
            )
        if self.kv_ranges and self.steps % len(self.kv_ranges):
            raise MagiError(
                f"steps must be a multiple of the number of KV ranges ({len(self.kv_ranges)}): {self.steps} -> use "
                f"{_neighbours(self.steps, len(self.kv_ranges))}"
            )
        if self.draft not in ("off", *DRAFTS):
            raise MagiError(f"unknown draft {echo(self.draft)}: use off, {' or '.join(DRAFTS)}")
        if any(r < 1 for r in self.kv_ranges):
            raise MagiError(f"every KV range counts the chunk itself, so it must be at least 1: {self.kv_ranges}")
        if self.clean_kv_range < 1 and self.clean_kv_range != -1:
            raise MagiError(f"the clean KV range must be at least 1, or -1 (the last KV range): {self.clean_kv_range}")

    @property
    def clean_length(self) -> int | None:
        """Chunks that a page made in the run attends to, its own included; None = all before it."""
        return self.history_length if self.kv_ranges else None

    @property
    def longest_range(self) -> int | None:
        """Chunks up to and including itself that a chunk may depend on; None = all before it.

        Where the page of a finished chunk depends on that chunk alone, the longest KV range.
        """
        return max(self.kv_ranges) if self.kv_ranges and self.clean_length == 1 else None

    @property
    def history_length(self) -> int:
        """The same for chunks that were finished before the run; without a table of ranges the reference stops at 8."""
        if self.clean_kv_range != -1:
            return self.clean_kv_range
        return self.kv_ranges[-1] if self.kv_ranges else 8

    @classmethod
    def for_model(cls, config: DiTConfig) -> SamplingSettings:
        """The reference's defaults: 64 steps for 4.5B base, 32 for 24B base, 16 for distilled models."""
        steps = 16 if config.distill else 32 if config.half_channel_vae else 64
        return cls(steps=steps)

    def with_changes(self, **changes: Any) -> SamplingSettings:
        """A copy with some fields replaced; unknown names and values that do not fit raise `MagiError`."""
        try:
            return replace(self, **changes)
        except TypeError as error:
            raise MagiError(f"unknown sampling setting: {error}") from None


def is_whole(value: object) -> TypeGuard[int]:
    """Whether `value` is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _neighbours(value: int, multiple: int) -> str:
    below = value // multiple * multiple
    return f"{below + multiple}" if below == 0 else f"{below} or {below + multiple}"
