"""`Magi Load Model`: the transformer, with the sampling defaults and special tokens that belong to it."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.loading import load
from magi_core.weights import fingerprint

from .host.attention import CHOICES, attention_for
from .host.device import model_devices
from .host.engine import in_comfyui
from .host.layers import COMFYUI
from .host.model_folder import files_of, model_input
from .host.patcher import in_patcher, weights_that_move
from .ui.checks import Checked
from .wires import CATEGORY, Model


def _check_model(model: str, variant: str = "auto") -> None:
    files_of(model, variant)


class MagiLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoadModel",
            display_name="Magi Load Model",
            category=CATEGORY,
            description="Loads a MAGI-1 video model from models/magi or models/diffusion_models, or the small 'nano' "
            "model that comes with this pack.",
            search_aliases=["magi", "magi-1", "load magi", "video model loader", "autoregressive video", "nano"],
            inputs=[
                model_input(
                    "The model to load. 'nano' (128x128, coloured moving shapes) comes with this pack and needs no "
                    "download. Official MAGI-1 weights go into models/magi, in the folders they are published in; "
                    "single files into models/diffusion_models."
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
                    options=["auto", "bf16", "fp32", "fp8"],
                    default="auto",
                    advanced=True,
                    tooltip="Number format of the large layers. 'auto' is bf16, and fp32 for small models on the CPU. "
                    "Layers that need fp32 always have it; fp8 checkpoints stay fp8. 'fp8' turns a bf16 model's large "
                    "layers into that while it loads: half the memory, a little less exact.",
                ),
                io.Combo.Input(
                    "attention",
                    options=list(CHOICES),
                    default="auto",
                    advanced=True,
                    tooltip="How attention is computed. 'auto' is what ComfyUI was started with (sage, flash, "
                    "PyTorch). The others are PyTorch's own and flash-attn where it is installed.",
                ),
            ],
            outputs=[Model.Output(display_name="model", tooltip="For Magi Chunk Sampler and Magi Extend.")],
        )

    validate_inputs = classmethod(Checked("MagiLoadModel", {"model": _check_model}))

    @classmethod
    def fingerprint_inputs(cls, model: str, variant: str, dtype: str, attention: str) -> str:
        return fingerprint(files_of(model, variant).dit)

    @classmethod
    @weights_that_move()
    def execute(cls, model: str, variant: str, dtype: str, attention: str) -> io.NodeOutput:
        files, devices = files_of(model, variant), model_devices()
        engine = load(
            files,
            variant=variant,
            device=devices.offload,
            dtype=dtype,
            compute=devices.load,
            operations=COMFYUI,
            encoders=False,
        )
        patcher = in_patcher(engine.dit, devices)
        return io.NodeOutput(in_comfyui(engine.copy(attention=attention_for(attention, patcher)), patcher))
