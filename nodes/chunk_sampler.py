"""`Magi Chunk Sampler`: begins a video and makes its first chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import ref

import comfy.sd
from comfy_api.latest import io
from torch import Tensor

from magi_core.config import PIXELS_PER_LATENT
from magi_core.engine import Engine
from magi_core.sampling.handoff import HANDOFFS
from magi_core.state import SamplerState
from magi_core.video.size import check_side

from .desk.desk import node_run
from .desk.made import Prefix, note_run
from .host.sound import with_sound
from .ui.checks import Checked, Checks, refuse
from .ui.foreseen import check_conditioning, check_plan
from .ui.sampling_run import Asked, check_autosave, check_seconds, planning, sample
from .ui.sampling_widgets import (
    check_clean_kv_range,
    check_kv_ranges,
    check_steps,
    own_values,
    sampling_inputs,
    settings_from,
)
from .ui.widgets import run_inputs, seed_input, size_inputs
from .wires import (
    CATEGORY,
    SOUND,
    Conditioning,
    Model,
    Prompt,
    Prompts,
    State,
    filled_in,
    from_latent,
    notes_on,
    vae_of,
)


def _check_width(width: int, prefix: object = None) -> None:
    if width and prefix is None:
        check_side("width", width)


def _check_height(height: int, prefix: object = None) -> None:
    if height and prefix is None:
        check_side("height", height)


def _check_steps(steps: int, window: int, kv_ranges: str, of_node: str | None = None) -> None:
    check_steps(steps, window, kv_ranges)
    check_plan("steps", of_node)


CHECKS: Checks = {
    "width": _check_width,
    "height": _check_height,
    "kv_ranges": check_kv_ranges,
    "steps": _check_steps,
    "clean_kv_range": check_clean_kv_range,
    "seconds": check_seconds,
    "autosave": check_autosave,
    "conditioning": check_conditioning,
}


class MagiChunkSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiChunkSampler",
            display_name="Magi Chunk Sampler",
            category=CATEGORY,
            description="Begins a video from text, an image or a video, and makes its first chunks (24 frames each). "
            "Continue with Magi Extend, as often as you like; only what you change is made again.",
            search_aliases=[
                "magi sampler",
                "magi ksampler",
                "autoregressive sampler",
                "text to video",
                "image to video",
            ],
            inputs=[
                Model.Input("model", tooltip="From Magi Load Model."),
                Conditioning.Input(
                    "conditioning",
                    tooltip="The prompt of these chunks, from Magi Text Encode, or those of a whole Magi Storyboard.",
                ),
                io.Latent.Input(
                    "prefix",
                    optional=True,
                    tooltip="What the video starts with, from Magi VAE Encode: an image (first frame) or a video (is "
                    "continued). The size is then the prefix's; width and height are not used.",
                ),
                *size_inputs("the model"),
                io.Int.Input(
                    "chunks",
                    default=1,
                    min=1,
                    max=600,
                    tooltip="Chunks to make with this prompt. A chunk is 24 frames: one second at 24 fps. A storyboard "
                    "brings its own number; above that, its last prompt goes on.",
                ),
                seed_input(
                    "Where the noise of all chunks comes from, those of later Magi Extend nodes included. Another seed "
                    "makes all of them anew."
                ),
                *sampling_inputs(),
                io.Int.Input(
                    "total_chunks",
                    default=0,
                    min=0,
                    max=100000,
                    advanced=True,
                    tooltip="Length announced to the model, so that it can bring the action to an end: all chunks of "
                    "the finished video, those of Magi Extend included. 0 announces no end.",
                ),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=1.0,
                    max=240.0,
                    step=1.0,
                    advanced=True,
                    tooltip="Frame rate of the finished video. The model was trained at 24; others play faster or "
                    "slower.",
                ),
                *run_inputs(),
            ],
            outputs=[
                State.Output(display_name="state", tooltip="The video so far. For Magi Extend and Magi VAE Decode.")
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    validate_inputs = classmethod(Checked("MagiChunkSampler", CHECKS))

    @classmethod
    def execute(
        cls,
        model: Engine,
        conditioning: Prompt | Prompts,
        prefix: dict[str, Any] | None = None,
        vae: comfy.sd.VAE | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        graph = cls.hidden.prompt or {}
        with node_run(cls.hidden) as run:
            refuse(CHECKS, {"prefix": prefix} | widgets)
            latents = None if prefix is None else from_latent(prefix)
            begun = begin(model, widgets, latents, 0 if prefix is None else filled_in(prefix))
            state, notes = begun.state, begun.notes
            if prefix is not None:
                state, more = with_sound(replace(state, vae=vae_of(prefix) or state.vae), prefix.get(SOUND))
                notes = (*notes_on(prefix), *more, *notes)
            given: dict[str, Any] = {"model": model, "conditioning": conditioning}
            if state.prefix is not None:
                sound = None if state.sound is None else ref(state.sound)
                shape, key = tuple(state.prefix.shape), state.prefix_key
                given["prefix"] = Prefix(shape, key, state.filled, sound, vae=state.vae)
            note_run(graph, given)
            made = sample(
                begun.engine,
                planning(begun.engine, state, conditioning, asked(widgets)),
                run=run,
                autosave=widgets.get("autosave", ""),
                vae=vae,
                graph=graph,
                own=begun.own,
                notes=notes,
            )
            note_run(graph, {}, made.state)
        return io.NodeOutput(made)


@dataclass(frozen=True)
class Begun:
    """An empty video, with the engine whose settings are the widgets'. own: values that are the model's own."""

    engine: Engine
    state: SamplerState
    own: tuple[str, ...]
    notes: tuple[str, ...]


def begin(model: Engine, widgets: Mapping[str, Any], latents: Tensor | None, filled: int = 0) -> Begun:
    """What the widgets of Magi Chunk Sampler begin. latents: of the prefix, [1, C, t, h, w], which decide the size.
    filled: see `SamplerState`."""
    engine = model.copy(settings=settings_from(model.settings, dict(widgets)))
    own = own_values(engine.settings, dict(widgets), distilled=model.dit.config.distill)
    width, height = widgets["width"], widgets["height"]
    if latents is not None:
        height, width = (side * PIXELS_PER_LATENT for side in latents.shape[-2:])
    elif not (width and height):
        width, height = width or model.size[0], height or model.size[1]
        own = [f"{width}x{height}", *own]
    state = engine.begin(
        width=width,
        height=height,
        seed=widgets["seed"],
        fps=widgets["fps"],
        total_chunks=widgets["total_chunks"] or None,
        prefix=latents,
        filled=filled,
    )
    return Begun(engine, state, tuple(own), (engine.far_from_own_size(width, height),))


def asked(widgets: Mapping[str, Any]) -> Asked:
    """How much is asked for, and how."""
    return Asked(
        chunks=widgets["chunks"],
        seconds=widgets.get("seconds", 0.0),
        leave_in_flight=widgets.get("leave_in_flight", False),
        handoff=widgets.get("handoff", HANDOFFS[0]),
    )
