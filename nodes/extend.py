"""`Magi Extend (KV cache)`: more chunks for a video in progress, with a prompt of their own."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.engine import Engine

from .progress import extend
from .wires import CATEGORY, Conditioning, Generation, Model, Prompt, State


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
                Conditioning.Input("conditioning", tooltip="The prompt of the new chunks, from Magi Text Encode."),
                io.Int.Input(
                    "chunks",
                    default=1,
                    min=1,
                    max=600,
                    tooltip="Chunks to add with this prompt. A chunk is 24 frames: one second at 24 fps.",
                ),
            ],
            outputs=[
                State.Output(display_name="state", tooltip="The longer video. The one that came in is unchanged.")
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model: Engine, state: Generation, conditioning: Prompt, chunks: int) -> io.NodeOutput:
        return io.NodeOutput(Generation.of(extend(model, state.state, conditioning, chunks, cls.hidden.unique_id)))
