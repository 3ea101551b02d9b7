"""The sampling settings as widgets, and widgets back as settings."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from magi_core.config import Guidance, SamplingSettings
from magi_core.errors import MagiError, echo
from magi_core.sampling.guidance import scales

LATE = 0.3  # timestep from which the "late" guidance counts; see `Guidance.simple`
_REFERENCE = SamplingSettings()
_AVOID = {
    "avoid_captions": ("CAPTION", "burnt-in captions"),
    "avoid_logos": ("LOGO", "logos and watermarks"),
    "avoid_cuts": ("TRANS", "cuts and transitions"),
    "avoid_borders": ("BORDERNESS", "black borders"),
}


def sampling_inputs() -> list[io.Input]:
    """One widget per sampling setting; the rarely needed ones are tucked away."""
    return [
        io.Int.Input(
            "steps",
            default=0,
            min=0,
            max=512,
            tooltip="Denoising steps per chunk. 0 takes the model's own number (64 for 4.5B base, 32 for 24B base, 16 "
            "for distilled models). Must be a multiple of the window.",
        ),
        _guidance_input("text_guidance", "How strongly the prompt is followed. Distilled models ignore guidance.", 7.5),
        _guidance_input(
            "previous_guidance",
            "How strongly earlier chunks are followed: higher is more consistent, less lively.",
            1.5,
        ),
        _guidance_input("text_guidance_late", "Text guidance from 30% denoised on.", 0, advanced=True),
        _guidance_input("previous_guidance_late", "Guidance by earlier chunks from 30% denoised on.", 1, advanced=True),
        io.Float.Input(
            "nearly_clean_blend",
            default=-1.0,
            min=-1.0,
            max=1.0,
            step=0.05,
            advanced=True,
            tooltip="Distilled models only. Weight of the chunk seen with its past against the chunk seen by itself, "
            "once it is nearly clean. Lower means less drift, and less memory of earlier chunks. -1 takes the model's "
            f"own ({_REFERENCE.nearly_clean_blend:g} for official models).",
        ),
        io.Int.Input(
            "window",
            default=_REFERENCE.window,
            min=1,
            max=16,
            advanced=True,
            tooltip="Chunks denoised at the same time, each one stage behind the one before. Fewer need less memory.",
        ),
        io.String.Input(
            "kv_ranges",
            default=", ".join(map(str, _REFERENCE.kv_ranges)),
            advanced=True,
            tooltip="How many chunks a chunk looks at, itself included, in each part of its way from noise to clean. "
            "Empty: everything before it, which costs more with every chunk.",
        ),
        io.Int.Input(
            "clean_kv_range",
            default=_REFERENCE.clean_kv_range,
            min=-1,
            max=64,
            advanced=True,
            tooltip="How many chunks a finished chunk looks at when it is stored in the KV cache. -1: everything "
            "before it.",
        ),
        io.Float.Input(
            "clean_t",
            default=_REFERENCE.clean_t,
            min=0.5,
            max=1.0,
            step=0.0001,
            round=0.0001,
            advanced=True,
            tooltip="How clean finished chunks are said to be when they are stored in the KV cache (1 is perfectly "
            "clean).",
        ),
        io.Combo.Input(
            "shortcut",
            options=["8,16,16", "16,16,8"],
            default=_REFERENCE.shortcut,
            advanced=True,
            tooltip="Order of step sizes when steps is 12. Other step counts ignore it.",
        ),
        io.Boolean.Input(
            "duration_tokens",
            default=_REFERENCE.duration_tokens,
            advanced=True,
            tooltip="Tell the model how many chunks are still to come.",
        ),
        *(
            io.Boolean.Input(name, default=False, advanced=True, tooltip=f"Steer away from {what}.")
            for name, (_, what) in _AVOID.items()
        ),
    ]


def settings_from(defaults: SamplingSettings, widgets: dict[str, Any]) -> SamplingSettings:
    """Settings as the widgets say; `defaults` are the model's. Raises `MagiError` where values do not fit together."""
    names, blend = ("window", "clean_kv_range", "clean_t", "shortcut", "duration_tokens"), widgets["nearly_clean_blend"]
    return defaults.with_changes(
        steps=widgets["steps"] or defaults.steps,
        guidance=_guidance(defaults.guidance, widgets),
        nearly_clean_blend=defaults.nearly_clean_blend if blend < 0 else blend,
        kv_ranges=_whole_numbers(widgets["kv_ranges"]),
        negative_tokens=tuple(token for name, (token, _) in _AVOID.items() if widgets[name]),
        **{name: widgets[name] for name in names},
    )


def own_values(settings: SamplingSettings, widgets: dict[str, Any], *, distilled: bool) -> list[str]:
    """What stands for "the model's own" on the widgets, as it is in `settings`: "16 steps", "text guidance 5"."""
    said = [] if widgets["steps"] else [f"{settings.steps} steps"]
    if distilled:
        return said + ([f"blend {settings.nearly_clean_blend:g}"] if widgets["nearly_clean_blend"] < 0 else [])
    (previous, text), (previous_late, text_late) = scales(settings.guidance, 0.0), scales(settings.guidance, LATE)
    values = {"text_guidance": text, "previous_guidance": previous}
    values |= {"text_guidance_late": text_late, "previous_guidance_late": previous_late}
    return said + [f"{name.replace('_', ' ')} {value:g}" for name, value in values.items() if widgets[name] < 0]


def check_steps(steps: int, window: int, kv_ranges: str) -> None:
    """Raise `MagiError` where steps, window and KV ranges do not fit; the model's own steps are not known here."""
    if steps:
        SamplingSettings(steps=steps, window=window, kv_ranges=_whole_numbers(kv_ranges))


def check_kv_ranges(kv_ranges: str) -> None:
    """Raise `MagiError` for what is no list of KV ranges."""
    ranges = _whole_numbers(kv_ranges)
    SamplingSettings(steps=max(1, len(ranges)), window=1, kv_ranges=ranges)


def check_clean_kv_range(clean_kv_range: int) -> None:
    SamplingSettings(clean_kv_range=clean_kv_range)


def _guidance_input(name: str, what: str, official: float, advanced: bool | None = None) -> io.Float.Input:
    tooltip = f"{what} -1 takes the model's own ({official:g} for official base models)."
    return io.Float.Input(name, default=-1.0, min=-1.0, max=30.0, step=0.1, tooltip=tooltip, advanced=advanced)


def _guidance(own: Guidance, widgets: dict[str, Any]) -> Guidance:
    names = ("previous_guidance", "text_guidance", "previous_guidance_late", "text_guidance_late")
    given = [widgets[name] for name in names]
    if all(value < 0 for value in given):
        return own
    values = [*scales(own, 0.0), *scales(own, LATE)]
    previous, text, previous_late, text_late = (g if g >= 0 else v for g, v in zip(given, values, strict=True))
    return Guidance.simple(text, previous, text_late, previous_late)


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise MagiError(f"kv_ranges must be whole numbers such as '5, 4, 3, 2', or empty: {echo(text)}") from None
