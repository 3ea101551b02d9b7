"""`Magi LoRA`: a LoRA on the transformer."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from magi_core.engine import Engine
from magi_core.errors import MagiError, echo
from magi_core.weights import fingerprint

from .host.lora_weights import with_lora
from .wires import CATEGORY, Model

FOLDER = "loras"


class MagiLoRA(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoRA",
            display_name="Magi LoRA",
            category=CATEGORY,
            description="Puts a LoRA on the model. Several can follow one another; the model that comes in is not "
            "changed, so both can be used in one workflow.",
            search_aliases=["magi lora", "load lora", "lora loader", "style"],
            inputs=[
                Model.Input("model", tooltip="From Magi Load Model or another Magi LoRA."),
                io.Combo.Input(
                    "lora",
                    options=_listed(),
                    tooltip="A LoRA for MAGI-1 in models/loras (.safetensors), trained on this model's size.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-20.0,
                    max=20.0,
                    step=0.05,
                    tooltip="How much of the LoRA is added. 1 is as trained, 0 is nothing, below 0 is the opposite.",
                ),
            ],
            outputs=[Model.Output(display_name="model", tooltip="The model with the LoRA, for the sampler nodes.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: object, lora: str, strength: float) -> str:
        return fingerprint(_path(lora))

    @classmethod
    def execute(cls, model: Engine, lora: str, strength: float) -> io.NodeOutput:
        path = _path(lora)
        return io.NodeOutput(model if strength == 0 else with_lora(model, path, strength))


def _listed() -> list[str]:
    return [name for name in folder_paths.get_filename_list(FOLDER) if name.endswith(".safetensors")]


def _path(name: str) -> Path:
    path = folder_paths.get_full_path(FOLDER, name) if name in _listed() else None
    if path is None:
        raise MagiError(f"there is no LoRA called {echo(name)} in models/{FOLDER}: press R to refresh the list")
    return Path(path)
