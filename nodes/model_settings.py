"""`Magi Model Settings`: how a loaded model runs, without loading it again."""

from __future__ import annotations

from typing import Any

import comfy.model_management as management
from comfy_api.latest import io

from magi_core.budget import allowed_bytes
from magi_core.config import DRAFTS
from magi_core.engine import Engine
from magi_core.kernels.compilation import Compiler, check_compilation

from .host.attention import CHOICES, attention_for
from .host.engine import patcher_of, within
from .ui.checks import Checked
from .wires import CATEGORY, Model

MIB = 1 << 20


def _check_compile(compile: bool) -> None:
    if compile:
        check_compilation(management.get_torch_device())


def _check_vram(vram: float) -> None:
    if vram:
        allowed_bytes(vram)


class MagiModelSettings(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiModelSettings",
            display_name="Magi Model Settings",
            category=CATEGORY,
            description="Changes how a model runs: how attention is computed, whether it is compiled, how much of a "
            "GPU's memory it keeps to, how much its KV cache may take of memory, and whether it makes "
            "drafts. Weights are shared with the model that comes in, which is not changed.",
            search_aliases=[
                "magi performance",
                "attention backend",
                "torch compile",
                "low vram",
                "kv cache size",
                "memory settings",
            ],
            inputs=[
                Model.Input("model", tooltip="From Magi Load Model or Magi LoRA."),
                io.Combo.Input(
                    "attention",
                    options=["as loaded", *CHOICES],
                    default="as loaded",
                    tooltip="How attention is computed. auto is what ComfyUI was started with (sage, flash, PyTorch); "
                    "the others are PyTorch's own and flash-attn where it is installed.",
                ),
                _budget(
                    "device_cache",
                    "MiB of KV cache that stay on a GPU during a run for chunks that it does not read any more, as far "
                    "as model and run leave room. -1 is automatic and, like 0, none: it waits in the computer's "
                    "memory, which costs about 1 % of the time. Never changes a result.",
                ),
                _budget(
                    "host_cache",
                    "MiB of KV cache that may wait in the computer's memory when it has no room on a GPU. -1 is "
                    "automatic (an eighth of the memory, at most 8 GiB); 0 makes it again from the video when it is "
                    "needed.",
                ),
                io.Boolean.Input(
                    "compile",
                    default=False,
                    optional=True,
                    tooltip="Compiles with torch.compile what has no fast kernel of its own. On an NVIDIA GPU with "
                    "Triton a bf16 or fp8 model has them all and gains nothing. Works with LoRA and offloading. Needs "
                    "Triton on a GPU, a C++ compiler on the CPU.",
                ),
                io.Float.Input(
                    "vram",
                    default=0.0,
                    min=0.0,
                    max=1024.0,
                    step=0.5,
                    optional=True,
                    tooltip="GB of the GPU's memory that the model and its runs keep to; weights that find no room "
                    "wait in the computer's memory and are fetched as they are used, and so is the KV cache of a run "
                    "that leaves the model too little. 0 takes what is free. ComfyUI's dynamic VRAM places weights by "
                    "itself, whatever is set here.",
                ),
                io.Combo.Input(
                    "draft",
                    options=["off", *DRAFTS],
                    default="off",
                    optional=True,
                    tooltip="Quicker: at every other step a chunk goes on as it went at the step before. light does so "
                    "from the second quarter of its way on and hardly changes the picture, strong all the way. Another "
                    "take than without; one that was begun with a draft goes on as one. Second passes are made whole.",
                ),
            ],
            outputs=[
                Model.Output(display_name="model", tooltip="The model with these settings, for the sampler nodes.")
            ],
        )

    validate_inputs = classmethod(Checked("MagiModelSettings", {"compile": _check_compile, "vram": _check_vram}))

    @classmethod
    def execute(
        cls,
        model: Engine,
        attention: str,
        device_cache: int,
        host_cache: int,
        compile: bool = False,
        vram: float = 0.0,
        draft: str = "off",
    ) -> io.NodeOutput:
        changes: dict[str, Any] = {"compiler": Compiler() if compile else None}
        if compile:
            check_compilation(patcher_of(model).load_device)
        if attention != "as loaded":
            changes["attention"] = attention_for(attention, patcher_of(model))
        if vram:
            model = within(model, allowed_bytes(vram))
        budgets = {"device_bytes": _bytes(device_cache), "host_bytes": _bytes(host_cache)}
        if any(budget is not None for budget in budgets.values()):
            changes["cache"] = model.cache.with_page_budgets(**budgets)
        return io.NodeOutput(model.with_settings(draft=draft).copy(**changes))


def _budget(name: str, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=-1, min=-1, max=1 << 20, step=64, tooltip=tooltip)


def _bytes(mib: int) -> int | None:
    return None if mib < 0 else mib * MIB
