"""`Magi Rewind`: back to an earlier chunk, to try something else from there."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.sampling.handoff import exactness_in_words
from magi_core.state.rewind import rewind

from .ui.checks import Checked
from .ui.foreseen import check_plan
from .ui.progress import show
from .wires import CATEGORY, HeldState, Model, State


def _check_chunks(chunks: int, of_node: str | None = None) -> None:
    check_plan("chunks", of_node)


class MagiRewind(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiRewind",
            display_name="Magi Rewind",
            category=CATEGORY,
            description="Goes back to an earlier chunk of a video, so that Magi Extend can tell another story from "
            "there. The video that comes in is not changed.",
            search_aliases=["magi rewind", "undo chunks", "fork", "branch", "trim chunks", "go back"],
            inputs=[
                State.Input("state", tooltip="The video to go back in, from any node that makes or loads one."),
                io.Int.Input(
                    "chunks",
                    default=-1,
                    min=-100000,
                    max=100000,
                    tooltip="Chunks to keep, counted from the start, those of a given video included. Below 0: how "
                    "many to leave out at the end.",
                ),
                Model.Input(
                    "model",
                    optional=True,
                    tooltip="Optional: the model that will go on. The node then says whether it can go on exactly as "
                    "one long run would have (handoff continuous).",
                ),
            ],
            outputs=[State.Output(display_name="state", tooltip="The video as it was at that point.")],
            hidden=[io.Hidden.unique_id],
        )

    validate_inputs = classmethod(Checked("MagiRewind", {"chunks": _check_chunks}))

    @classmethod
    def execute(cls, state: HeldState, chunks: int, model: Engine | None = None) -> io.NodeOutput:
        earlier = rewind(state.state, chunks)
        show(cls.hidden.unique_id, exactness_in_words(earlier, model))
        return io.NodeOutput(HeldState.of(earlier))
