"""Inputs that nodes that sample share, after their own: workflows store widgets in order."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from magi_core.sampling.second_pass import USUAL_STRENGTH
from magi_core.story.chunk import MAX_OFFSET
from magi_core.video.images import FIT_POLICIES
from magi_core.video.size import check_side

from ..wires import Conditioning, TextEncoder


def run_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "leave_in_flight",
            default=False,
            advanced=True,
            tooltip="Leave the last chunks half done, for the next Magi Extend to finish: a chain of nodes then costs "
            "no more than one run, but its last chunks appear one node later. Switch it off in the last node.",
        ),
        io.Float.Input(
            "seconds",
            default=0.0,
            min=0.0,
            max=100000.0,
            step=0.1,
            round=0.001,
            advanced=True,
            tooltip="Length of the new part in seconds, in place of chunks: as many chunks as it takes are made, and "
            "the decoded video ends at this point to the frame. 0 goes by chunks.",
        ),
        *take_inputs(),
    ]


def take_inputs(vae: str = "") -> list[io.Input]:
    """Where a take is kept, and how it is shown. vae: what else it is for."""
    return [
        io.String.Input(
            "autosave",
            default="",
            advanced=True,
            placeholder="name of a take, or empty",
            tooltip="Name of a take in output/magi that is brought up to date after every chunk: after a crash, the "
            "same workflow goes on from there. A take of that name that is another video stays as it is; this one then "
            "gets a number. Empty saves nothing.",
        ),
        io.Vae.Input(
            "vae",
            optional=True,
            tooltip="Optional, from Magi Load VAE: shows on this node what is coming, and finished chunks as clips "
            f"while later ones are made.{vae}",
        ),
    ]


def size_inputs(whose: str, *, of_take: str = "") -> list[io.Input]:
    """whose: what tells the size at 0. of_take: what is done with a take, where one can be given."""
    zero = f"0 takes the size that {whose} was made for: 128 for nano, 720 for the others."
    tooltip = " ".join(filter(None, ("Pixels, a multiple of 16.", of_take, zero)))
    return [io.Int.Input(name, default=0, min=0, max=8192, step=16, tooltip=tooltip) for name in ("width", "height")]


def check_width(width: int) -> None:
    if width:
        check_side("width", width)


def check_height(height: int) -> None:
    if height:
        check_side("height", height)


def fit_input() -> io.Input:
    return io.Combo.Input(
        "fit",
        options=list(FIT_POLICIES),
        default=FIT_POLICIES[0],
        tooltip="What to do where the shape differs: crop cuts the sides off, pad adds black bars, stretch distorts.",
    )


def fps_input(tooltip: str) -> io.Input:
    return io.Float.Input("fps", default=24.0, min=1.0, max=240.0, step=1.0, advanced=True, tooltip=tooltip)


def strength_input() -> io.Input:
    return io.Float.Input(
        "strength",
        default=USUAL_STRENGTH,
        min=0.0,
        max=1.0,
        step=0.05,
        round=0.001,
        tooltip="How much is made anew. 0 keeps everything, bit for bit; at 0.3 looks change a little, at 0.5 looks "
        "change and motion stays, at 0.7 motion begins to change; 1 makes all anew. Less costs less.",
    )


def words_inputs(said: str, read: str, *, needed: bool = False) -> list[io.Input]:
    """What is said of chunks that are made anew, and what reads words again.

    said, read: tooltips. needed: whether the second has to be connected.
    """
    encoder = io.MultiType.Input("text_encoder", [TextEncoder, io.Clip], optional=not needed, tooltip=read)
    return [Conditioning.Input("conditioning", optional=True, tooltip=said), encoder]


def clean_input() -> io.Input:
    return io.Boolean.Input(
        "clean",
        default=True,
        optional=True,
        advanced=True,
        tooltip="Cleans prompts as captions were in training: lower case, no brackets, no Chinese, no words like C3PO. "
        "The node says what is left out. Off: the text encoder reads prompts as typed.",
    )


def seed_input(tooltip: str, least: int = 0) -> io.Input:
    """A seed that stays as it is: only what is changed on purpose is made again. least: and what it is at first."""
    return io.Int.Input(
        "seed", default=least, min=least, max=0xFFFFFFFFFFFFFFFF, control_after_generate=_fixed(), tooltip=tooltip
    )


def reroll_input(tooltip: str) -> io.Input:
    """Other noise, as `[reroll 2]` in a storyboard."""
    return io.Int.Input("reroll", default=1, min=0, max=MAX_OFFSET, control_after_generate=_fixed(), tooltip=tooltip)


def _fixed() -> Any:
    kinds = getattr(io, "ControlAfterGenerate", None)  # older ComfyUI knows only whether there is a control
    return True if kinds is None else kinds.fixed
