"""`Magi Load Model`: the transformer, with the sampling defaults and special tokens that belong to it."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.attention import get_attention
from magi_core.engine import Engine
from magi_core.loading import recommended_settings
from magi_core.text import load_special_tokens
from magi_core.weights import fingerprint, load_dit

from .device import model_device
from .model_folder import files_of, model_input
from .wires import CATEGORY, Model


class MagiLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoadModel",
            display_name="Magi Load Model",
            category=CATEGORY,
            description="Loads a MAGI-1 video model from models/magi, or the small 'nano' model that comes with this "
            "pack.",
            search_aliases=["magi", "magi-1", "load magi", "video model loader", "autoregressive video", "nano"],
            inputs=[
                model_input(
                    "The model to load. 'nano' (128x128, coloured moving shapes) comes with this pack and needs no "
                    "download. Official MAGI-1 weights go into models/magi, in the folders they are published in."
                ),
                io.Combo.Input(
                    "variant",
                    options=["auto", "base", "distill"],
                    default="auto",
                    advanced=True,
                    tooltip="Base models use guidance and many steps, distilled ones need few steps and no guidance. "
                    "'auto' reads it from the folder's name (inference_weight or inference_weight.distill).",
                ),
                io.Combo.Input(
                    "dtype",
                    options=["auto", "bf16", "fp32"],
                    default="auto",
                    advanced=True,
                    tooltip="Number format of the large layers. 'auto' is bf16, and fp32 for small models on the CPU. "
                    "Layers that need fp32 always have it; fp8 checkpoints stay fp8.",
                ),
                io.Combo.Input(
                    "attention",
                    options=["auto", "sdpa", "flash_attn"],
                    default="auto",
                    advanced=True,
                    tooltip="How attention is computed. 'auto' uses flash-attn on a GPU where it is installed, and "
                    "PyTorch's own otherwise. The result differs only by rounding.",
                ),
            ],
            outputs=[Model.Output(display_name="model", tooltip="For Magi Chunk Sampler and Magi Extend.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, variant: str, dtype: str, attention: str) -> str:
        return fingerprint(files_of(model, variant).dit)

    @classmethod
    def execute(cls, model: str, variant: str, dtype: str, attention: str) -> io.NodeOutput:
        files, device = files_of(model, variant), model_device()
        dit = load_dit(files.dit, variant=variant, device=device, dtype=dtype)
        engine = Engine(dit, attention=get_attention(attention, device), fingerprint=fingerprint(files.dit))
        if files.special_tokens is not None:
            tokens = load_special_tokens(files.special_tokens, channels=dit.config.caption_channels)
            engine = engine.copy(special_tokens=tokens)
        return io.NodeOutput(engine.copy(settings=recommended_settings(files, engine.settings)))
