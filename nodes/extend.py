"""`Magi Extend (KV cache)`: more chunks for a video in progress, with a prompt of their own."""

from __future__ import annotations

import comfy.sd
from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.sampling.handoff import HANDOFFS

from .desk.desk import node_run
from .desk.made import note_run
from .ui.checks import Checked, Checks, refuse
from .ui.foreseen import check_conditioning
from .ui.sampling_run import Asked, check_autosave, check_seconds, planning, sample
from .ui.widgets import run_inputs
from .wires import CATEGORY, Conditioning, HeldState, Model, Prompt, Prompts, State

CHECKS: Checks = {"seconds": check_seconds, "autosave": check_autosave, "conditioning": check_conditioning}


class MagiExtend(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiExtend",
            display_name="Magi Extend (KV cache)",
            category=CATEGORY,
            description="Continues a video with more chunks and another prompt. What came before stays as it is: "
            "connect several of these to one state to try several takes. Earlier chunks are read from the KV cache, "
            "so the cost of a chunk does not grow with the length of the video.",
            search_aliases=[
                "magi continue",
                "continue video",
                "next chunk",
                "kv cache",
                "longer video",
                "extend video",
            ],
            inputs=[
                Model.Input("model", tooltip="From Magi Load Model, the model that made the state."),
                State.Input("state", tooltip="The video to continue, from Magi Chunk Sampler or another Magi Extend."),
                Conditioning.Input(
                    "conditioning",
                    tooltip="The prompt of the new chunks, from Magi Text Encode, or those of a whole Magi Storyboard, "
                    "whose chunk 0 is the first new one.",
                ),
                io.Int.Input(
                    "chunks",
                    default=1,
                    min=1,
                    max=600,
                    tooltip="Chunks to add with this prompt. A chunk is 24 frames: one second at 24 fps. A storyboard "
                    "brings its own number; above that, its last prompt goes on.",
                ),
                io.Combo.Input(
                    "handoff",
                    options=list(HANDOFFS),
                    default=HANDOFFS[0],
                    tooltip="From where new chunks go on. clean: from the finished chunks, which costs about what the "
                    "new ones cost. continuous: as one long run would have, with the last stages made again. At 8 "
                    "steps one chunk costs about 20 or 57, four about 91 or 129; the node shows both for what you ask.",
                ),
                *run_inputs(),
            ],
            outputs=[
                State.Output(display_name="state", tooltip="The longer video. The one that came in is unchanged.")
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    validate_inputs = classmethod(Checked("MagiExtend", CHECKS))

    @classmethod
    def execute(
        cls,
        model: Engine,
        state: HeldState,
        conditioning: Prompt | Prompts,
        chunks: int,
        handoff: str = HANDOFFS[0],
        leave_in_flight: bool = False,
        seconds: float = 0.0,
        autosave: str = "",
        vae: comfy.sd.VAE | None = None,
    ) -> io.NodeOutput:
        graph = cls.hidden.prompt or {}
        with node_run(cls.hidden) as run:
            refuse(CHECKS, {"seconds": seconds, "autosave": autosave})
            note_run(graph, {"model": model, "conditioning": conditioning, "state": state.state})
            made = sample(
                model,
                planning(model, state.state, conditioning, Asked(chunks, seconds, leave_in_flight, handoff)),
                run=run,
                autosave=autosave,
                vae=vae,
                graph=graph,
            )
            note_run(graph, {}, made.state)
        return io.NodeOutput(made)
