"""`Magi Load Text Encoder`: the T5 that reads prompts."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.text import load_text_encoder
from magi_core.weights import fingerprint

from .device import text_device
from .model_folder import files_of, model_input, part_of
from .wires import CATEGORY, TextEncoder


class MagiLoadTextEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoadTextEncoder",
            display_name="Magi Load Text Encoder",
            category=CATEGORY,
            description="Loads the T5 text encoder that belongs to a MAGI model.",
            search_aliases=["magi t5", "magi clip", "load magi text encoder", "t5 loader"],
            inputs=[
                model_input("The model whose text encoder to load. Choose the same one as in Magi Load Model."),
                io.Combo.Input(
                    "dtype",
                    options=["auto", "bf16", "fp32"],
                    default="auto",
                    advanced=True,
                    tooltip="Number format. 'auto' is bf16 for the large T5-XXL and fp32 for small encoders on the "
                    "CPU.",
                ),
            ],
            outputs=[TextEncoder.Output(display_name="text_encoder", tooltip="For Magi Text Encode.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, dtype: str) -> str:
        return fingerprint(part_of(model, "text encoder"))

    @classmethod
    def execute(cls, model: str, dtype: str) -> io.NodeOutput:
        config = files_of(model).config
        encoder = load_text_encoder(
            part_of(model, "text encoder"),
            device=text_device(),
            dtype=dtype,
            max_length=config.caption_max_length,
            channels=config.caption_channels,
        )
        return io.NodeOutput(encoder)
