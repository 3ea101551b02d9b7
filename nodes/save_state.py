"""`Magi Save State`: a take to disk, to go on with another day."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.errors import MagiError

from .host.take_folder import SAVED, new_take_path, shown
from .ui.progress import show
from .wires import CATEGORY, Model, State, StateOnWire


class MagiSaveState(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiSaveState",
            display_name="Magi Save State",
            category=CATEGORY,
            description="Saves a video in progress with its prompts, seeds and settings, so that Magi Load State can "
            "go on with it another day: about 3 MiB per chunk at 720x720, no model in it.",
            search_aliases=["magi save", "save take", "save latent video", "checkpoint", "continue later"],
            inputs=[
                State.Input("state", tooltip="The video to save, from any node that makes one."),
                io.String.Input(
                    "filename_prefix",
                    default="take",
                    tooltip=f"Name of the file in output/{SAVED}; a number is added. It may name a folder ('scene "
                    "1/ball') and use %width%, %height%, %year%, %month%, %day%.",
                ),
                io.Boolean.Input(
                    "all_frontiers",
                    default=False,
                    advanced=True,
                    tooltip="Also save the pipeline at every earlier chunk that the model still remembers, about three "
                    "chunks' size each: Magi Rewind can then go back there and continuous stays exact. Needs the "
                    "model.",
                ),
                Model.Input("model", optional=True, tooltip="The model that made the video; only for all_frontiers."),
            ],
            outputs=[State.Output(display_name="state", tooltip="The video that came in, to go on with at once.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, state: StateOnWire, filename_prefix: str, all_frontiers: bool = False, model: Engine | None = None
    ) -> io.NodeOutput:
        made = state.state
        if all_frontiers:
            if model is None:
                raise MagiError("all_frontiers needs the model, which remembers them: connect it to Magi Save State")
            made = model.remembered(made)
        path = new_take_path(filename_prefix, made.width, made.height)
        made.save(path, all_frontiers=all_frontiers)
        points = f" with {len(made.frontiers)} earlier points to go on from exactly" if all_frontiers else ""
        show(cls.hidden.unique_id, f"saved {shown(path)}{points}")
        return io.NodeOutput(state)
