"""`Magi Load Text Encoder`: the T5 that reads prompts."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.text import TextEncoder as Encoder
from magi_core.text import read_t5
from magi_core.weights import fingerprint

from .host.device import text_devices
from .host.model_folder import model_input, part_of, reader_of
from .host.text_encoder import placed_text_encoder
from .ui.checks import Checked
from .wires import CATEGORY, TextEncoder

MAX_LENGTH = 800  # tokens of a prompt that official models were trained with


def _check_model(model: str) -> None:
    part_of(model, "text encoder")


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
                model_input(
                    "The model whose text encoder to load, the same one as in Magi Load Model; or a T5 folder in "
                    "models/text_encoders.",
                    "text encoder",
                ),
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

    validate_inputs = classmethod(Checked("MagiLoadTextEncoder", {"model": _check_model}))

    @classmethod
    def fingerprint_inputs(cls, model: str, dtype: str) -> str:
        return fingerprint(part_of(model, "text encoder"))

    @classmethod
    def execute(cls, model: str, dtype: str) -> io.NodeOutput:
        return io.NodeOutput(text_encoder_in(model, dtype))


def text_encoder_in(model: str, dtype: str) -> Encoder:
    """The text encoder of a model or folder of the list; its weights are read when it is first used."""
    devices, reader = text_devices(), reader_of(model)
    folder, channels = part_of(model, "text encoder"), None if reader is None else reader.caption_channels
    parts = read_t5(folder, device=devices.offload, compute=devices.load, dtype=dtype, channels=channels)
    limit = MAX_LENGTH if reader is None else reader.caption_max_length
    return placed_text_encoder(parts, devices, limit)
