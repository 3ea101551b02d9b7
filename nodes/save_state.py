"""`Magi Save State`: a take to disk, to go on with another day."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.errors import MagiError

from .desk.desk import MEMORY
from .host.file_names import resolved
from .host.queued import queued_graph
from .host.take_folder import SAVED, inside, new_take_path, shown
from .ui.checks import Checked
from .ui.progress import show
from .wires import CATEGORY, HeldState, Model, State


def _check_name(filename_prefix: str) -> None:
    inside(resolved(filename_prefix, width=0, height=0, graph=queued_graph()))


def _check_frontiers(all_frontiers: bool, model: object = None) -> None:
    if all_frontiers and model is None:
        raise MagiError("all_frontiers needs the model, which remembers them: connect it to Magi Save State")


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
                    "1/ball') and use %date:yyyy-MM-dd%, %width%, %height%, %year%, %month%, %day%, or "
                    "%Node.widget% for what is typed in another node.",
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
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_output_node=True,
        )

    validate_inputs = classmethod(
        Checked("MagiSaveState", {"filename_prefix": _check_name, "all_frontiers": _check_frontiers})
    )

    @classmethod
    def execute(
        cls, state: HeldState, filename_prefix: str, all_frontiers: bool = False, model: Engine | None = None
    ) -> io.NodeOutput:
        made = state.state
        _check_frontiers(all_frontiers, model)
        if all_frontiers and model is not None:
            made = model.remembered(made)
        name = resolved(filename_prefix, width=made.width, height=made.height, graph=cls.hidden.prompt or {})
        path = new_take_path(name, made.width, made.height)
        made.save(path, all_frontiers=all_frontiers)
        MEMORY.saved(made.chunk_key(index) for index in range(made.finished))
        points = f" with {len(made.frontiers)} earlier points to go on from exactly" if all_frontiers else ""
        show(cls.hidden.unique_id, f"saved {shown(path)}{points}")
        return io.NodeOutput(state)
