"""`Magi Retouch`: chunks in the middle of a take made anew; those after them stay as they are."""

from __future__ import annotations

from typing import Any

import comfy.sd
from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.sampling.retouch import MOST_JOINING, check_span

from .desk.desk import node_run
from .desk.made import note_run
from .host.text_encoder import text_encoder_of
from .ui.checks import Checked, Checks, refuse
from .ui.foreseen import check_plan
from .ui.sampling_run import check_autosave, sample
from .ui.second_planning import check_strength, reading, retouching
from .ui.widgets import reroll_input, strength_input, take_inputs, words_inputs
from .wires import CATEGORY, HeldState, Model, Prompt, Prompts, State


def _check_span(first: int, last: int, of_node: str | None = None) -> None:
    check_span(first, last, 0)
    check_plan("last", of_node)


def _check_join(first: int, last: int, join: int) -> None:
    if first <= last:
        check_span(first, last, join)


CHECKS: Checks = {"last": _check_span, "join": _check_join, "strength": check_strength, "autosave": check_autosave}


class MagiRetouch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiRetouch",
            display_name="Magi Retouch",
            category=CATEGORY,
            description="Makes some chunks of a take anew, with other words or other noise, and keeps all others bit "
            "for bit, those after them too. The take that comes in stays as it is.",
            search_aliases=["magi retouch", "magi inpaint", "repair chunk", "redo middle", "retake", "fix part"],
            inputs=[
                Model.Input("model", tooltip="From Magi Load Model, the model that made the take."),
                State.Input("state", tooltip="The take, from any node that makes or loads one."),
                *words_inputs(
                    "What these chunks become, from Magi Text Encode or a Magi Storyboard, whose chunk 0 is the first "
                    "of them. Without it they keep their own words.",
                    "From Magi Load Text Encoder, or ComfyUI's Load CLIP as in Magi Text Encode: reads the words of "
                    "chunks that keep theirs.",
                    needed=True,
                ),
                io.Int.Input(
                    "first",
                    default=0,
                    min=0,
                    max=100000,
                    tooltip="The first chunk that is made anew, counted from 0 as in the cells. Chunks of a given "
                    "video count, and stay.",
                ),
                io.Int.Input("last", default=0, min=0, max=100000, tooltip="The last of them; the same for one chunk."),
                strength_input(),
                reroll_input(
                    "Other noise for these chunks, as [reroll 2] in a storyboard: every number is another try. 0 takes "
                    "the noise that they were made from."
                ),
                io.Int.Input(
                    "join",
                    default=0,
                    min=0,
                    max=MOST_JOINING,
                    tooltip="For a high strength: how many of these chunks, at their end, come ever closer to the "
                    "take, so that what is kept after them follows on; no more than there are. Up to 0.5 motion stays, "
                    "and they follow on by themselves.",
                ),
                *take_inputs(),
            ],
            outputs=[
                State.Output(
                    display_name="state",
                    tooltip="The take with these chunks made anew, for Magi Extend, Magi VAE Decode and all others.",
                )
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    validate_inputs = classmethod(Checked("MagiRetouch", CHECKS))

    @classmethod
    def execute(
        cls,
        model: Engine,
        state: HeldState,
        text_encoder: Any,
        first: int,
        last: int,
        strength: float,
        reroll: int,
        join: int,
        conditioning: Prompt | Prompts | None = None,
        autosave: str = "",
        vae: comfy.sd.VAE | None = None,
    ) -> io.NodeOutput:
        graph, places = cls.hidden.prompt or {}, {"first": first, "last": last, "join": join}
        with node_run(cls.hidden) as run:
            refuse(CHECKS, places | {"strength": strength, "autosave": autosave})
            given = {"model": model, "conditioning": conditioning, "state": state.state, "text_encoder": text_encoder}
            note_run(graph, given)
            engine = reading(model, text_encoder_of(text_encoder))
            made = sample(
                engine,
                retouching(engine, state.state, conditioning, strength=strength, reroll=reroll, **places),
                run=run,
                autosave=autosave,
                vae=vae,
                graph=graph,
            )
            note_run(graph, {}, made.state)
        return io.NodeOutput(made)
