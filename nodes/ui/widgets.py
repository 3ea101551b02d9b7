"""Inputs that Magi Chunk Sampler and Magi Extend share, after their own: workflows store widgets in order."""

from __future__ import annotations

from comfy_api.latest import io


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
            "while later ones are made.",
        ),
    ]


def size_inputs(whose: str) -> list[io.Input]:
    """whose: what tells the size at 0."""
    tooltip = f"Pixels, a multiple of 16. 0 takes the size that {whose} was made for: 128 for nano, 720 for the others."
    return [io.Int.Input(name, default=0, min=0, max=8192, step=16, tooltip=tooltip) for name in ("width", "height")]


def clean_input() -> io.Input:
    return io.Boolean.Input(
        "clean",
        default=True,
        optional=True,
        advanced=True,
        tooltip="Cleans prompts as captions were in training: lower case, no brackets, no Chinese, no words like C3PO. "
        "The node says what is left out. Off: the text encoder reads prompts as typed.",
    )


def seed_input(tooltip: str) -> io.Input:
    """A seed that stays as it is: only what is changed on purpose is made again."""
    kinds = getattr(io, "ControlAfterGenerate", None)  # older ComfyUI knows only whether there is a control
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True if kinds is None else kinds.fixed,
        tooltip=tooltip,
    )
