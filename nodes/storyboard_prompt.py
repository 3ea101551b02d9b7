"""`Magi Storyboard Prompt`: one chunk of a storyboard as text."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.errors import MagiError
from magi_core.story.storyboard import Storyboard

from .ui.checks import Checked
from .ui.foreseen import check_plan
from .wires import CATEGORY, Story


def _check_chunk(chunk: int, of_node: str | None = None) -> None:
    check_plan("chunk", of_node)


class MagiStoryboardPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiStoryboardPrompt",
            display_name="Magi Storyboard Prompt",
            category=CATEGORY,
            description="Takes the prompt of one chunk out of a storyboard, for Magi Text Encode, a note or any node "
            "that takes text.",
            search_aliases=["magi prompt of chunk", "storyboard line", "prompt from schedule"],
            inputs=[
                Story.Input("storyboard", tooltip="From Magi Storyboard."),
                io.Int.Input(
                    "chunk",
                    default=0,
                    min=-100000,
                    max=100000,
                    tooltip="Which chunk, counted from 0; -1 is the last.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="prompt", tooltip="What happens in the chunk."),
                io.String.Output(
                    display_name="tags", tooltip="How it follows, its noise and tokens, as typed: '[cut] [reroll 2]'."
                ),
            ],
        )

    validate_inputs = classmethod(Checked("MagiStoryboardPrompt", {"chunk": _check_chunk}))

    @classmethod
    def execute(cls, storyboard: Storyboard, chunk: int) -> io.NodeOutput:
        count = len(storyboard)
        if not -count <= chunk < count:
            raise MagiError(f"this storyboard has chunks 0 to {count - 1}; there is no chunk {chunk}")
        said = storyboard.chunks[chunk]
        return io.NodeOutput(said.prompt, said.tags)
