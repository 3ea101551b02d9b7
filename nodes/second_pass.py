"""`Magi Second Pass`: a take or a video made again, with other words, another model or LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import ref

import comfy.sd
from comfy_api.latest import Input, io
from torch import Tensor

from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.state import SamplerState, resized, resizing_in_words

from .chunk_sampler import Begun
from .desk.desk import node_run
from .desk.made import Prefix, note_run, note_source
from .host.source import Wanted, encoded_take
from .host.text_encoder import text_encoder_of
from .host.vae import magi_vae
from .ui.checks import Checked, Checks, refuse
from .ui.codec_notes import noting
from .ui.progress import show
from .ui.sampling_run import check_autosave, sample
from .ui.sampling_widgets import (
    check_clean_kv_range,
    check_kv_ranges,
    check_steps,
    own_values,
    sampling_inputs,
    settings_from,
)
from .ui.second_planning import check_strength, reading, restyling
from .ui.widgets import (
    check_height,
    check_width,
    fit_input,
    fps_input,
    seed_input,
    size_inputs,
    strength_input,
    take_inputs,
    words_inputs,
)
from .wires import CATEGORY, HeldState, Model, Prompt, Prompts, State

OWN_SEED = -1


def _check_one(state: object = None, video: object = None, images: object = None) -> None:
    if sum(given is not None for given in (state, video, images)) > 1:
        raise MagiError("connect one source to Magi Second Pass: a take (state), a video, or images")


def _check_any(state: object = None, video: object = None, images: object = None) -> None:
    if state is None and video is None and images is None:
        raise MagiError("connect what is made again to Magi Second Pass: a take (state), a video, or images")


def _check_video(video: object = None, images: object = None, vae: object = None) -> None:
    _check_one(None, video, images)
    if video is not None:
        _check_encoded(vae)


def _check_images(images: object = None, vae: object = None) -> None:
    if images is not None:
        _check_encoded(vae)


def _check_encoded(vae: object) -> None:
    if vae is None:
        raise MagiError("connect vae, from Magi Load VAE: it encodes what is made again")


CHECKS: Checks = {
    "strength": check_strength,
    "width": check_width,
    "height": check_height,
    "kv_ranges": check_kv_ranges,
    "steps": check_steps,
    "clean_kv_range": check_clean_kv_range,
    "autosave": check_autosave,
    "state": _check_one,
    "video": _check_video,
    "images": _check_images,
    "fit": _check_any,
}
"""`_check_any` is said at `fit`: ComfyUI shows nothing at inputs that are not connected."""


class MagiSecondPass(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiSecondPass",
            display_name="Magi Second Pass",
            category=CATEGORY,
            description="Makes a take, or any video, again: with other words, a LoRA, or another model of the same "
            "VAE. What moves and where stays, how it looks is made anew, by as much as strength says. What comes in "
            "stays as it is.",
            search_aliases=[
                "magi restyle",
                "magi video to video",
                "vid2vid",
                "v2v",
                "finish draft",
                "denoise",
                "refine",
            ],
            inputs=[
                Model.Input(
                    "model",
                    tooltip="From Magi Load Model: the one that made the take, or another with the same VAE. A draft "
                    "of nano-distill is finished by nano, one of 4.5B by 24B.",
                ),
                State.Input(
                    "state",
                    optional=True,
                    tooltip="The take that is made again, from any node that makes or loads one. Connect this, a video "
                    "or images.",
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="Any video in place of a take, from Load Video, as long as it is; needs vae. It keeps its "
                    "sound.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The frames of a video in place of a take, at the frame rate below; needs vae.",
                ),
                *words_inputs(
                    "What the chunks become, from Magi Text Encode or a whole Magi Storyboard, whose chunk 0 is the "
                    "first of the take's own. [strength .3] on a line is for its chunks. Without it a take keeps its "
                    "own words, and a video has none.",
                    "From Magi Load Text Encoder, or ComfyUI's Load CLIP as in Magi Text Encode: reads a take's own "
                    "words, where conditioning is not connected.",
                ),
                strength_input(),
                seed_input(
                    "Where the noise of what is made anew comes from. -1 takes the take's own, for a video 0.", OWN_SEED
                ),
                *size_inputs(
                    "the model",
                    of_take="At 0 a take keeps its size; at another its latents are resized before they are made anew. "
                    "For a video",
                ),
                fit_input(),
                *sampling_inputs(),
                fps_input("Frame rate that a video is brought to. A take keeps its own."),
                *take_inputs(" Needed for a video or images."),
            ],
            outputs=[
                State.Output(
                    display_name="state",
                    tooltip="The new take, for Magi Extend, Magi VAE Decode and all others. The one that came in is "
                    "unchanged.",
                )
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    validate_inputs = classmethod(Checked("MagiSecondPass", CHECKS))

    @classmethod
    def execute(
        cls,
        model: Engine,
        state: HeldState | None = None,
        video: Input.Video | None = None,
        images: Tensor | None = None,
        conditioning: Prompt | Prompts | None = None,
        text_encoder: Any = None,
        vae: comfy.sd.VAE | None = None,
        **widgets: Any,
    ) -> io.NodeOutput:
        graph = cls.hidden.prompt or {}
        with node_run(cls.hidden) as run:
            refuse(CHECKS, {"state": state, "video": video, "images": images, "vae": vae} | widgets)
            encoder = None if text_encoder is None else text_encoder_of(text_encoder)
            source, notes = _source(model, state, vae, widgets, video, images, run.node_id)
            begun = begin(model, widgets, source, is_take=state is not None)
            links = {"model": model, "conditioning": conditioning, "state": source, "text_encoder": text_encoder}
            note_run(graph, links)
            if state is None and source.prefix is not None:
                sound = None if source.sound is None else ref(source.sound)
                shape, key = tuple(source.prefix.shape), source.prefix_key
                given = Prefix(shape, key, sound=sound, end=source.end, vae=source.vae)
                note_source(graph, (source.width, source.height), given)
            engine = reading(begun.engine, encoder)
            made = sample(
                engine,
                restyling(engine, begun.state, source, conditioning, widgets["strength"]),
                run=run,
                autosave=widgets.get("autosave", ""),
                vae=vae,
                graph=graph,
                own=begun.own,
                notes=(*notes, *begun.notes),
            )
            note_run(graph, {}, made.state)
        return io.NodeOutput(made)


def begin(model: Engine, widgets: Mapping[str, Any], source: SamplerState, *, is_take: bool) -> Begun:
    """The empty video that `source` is made again in."""
    engine = model.copy(settings=settings_from(model.settings, dict(widgets)))
    own = own_values(engine.settings, dict(widgets), distilled=model.dit.config.distill)
    state = engine.begin_again(source, seed=None if widgets["seed"] == OWN_SEED else widgets["seed"])
    if not is_take:
        state = replace(state, prefix=None, prefix_key="", filled=0)
    return Begun(engine, state, tuple(own), (engine.far_from_own_size(source.width, source.height),))


def size_of(own: tuple[int, int], widgets: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height that a source is brought to. own: the take's, or the model's where it is a video."""
    return widgets["width"] or own[0], widgets["height"] or own[1]


def sized(take: SamplerState, widgets: Mapping[str, Any]) -> tuple[SamplerState, tuple[str, ...]]:
    """The take at the size asked for, and what was done to it."""
    size = size_of((take.width, take.height), widgets)
    return resized(take, *size), resizing_in_words(take, *size, widgets["strength"])


def _source(
    model: Engine,
    state: HeldState | None,
    vae: Any,
    widgets: Mapping[str, Any],
    video: Any,
    images: Tensor | None,
    node_id: str | None,
) -> tuple[SamplerState, tuple[str, ...]]:
    """The take that came in, or that a video is, and what was done to that."""
    if state is not None:
        return sized(state.state, widgets)
    placed = magi_vae(vae)
    wanted = Wanted(*size_of(model.size, widgets), widgets["fit"], widgets["fps"])
    with noting(placed.codec, node_id):
        return encoded_take(model, placed, wanted, video=video, images=images, tell=lambda text: show(node_id, text))
