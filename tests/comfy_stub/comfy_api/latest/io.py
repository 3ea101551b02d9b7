"""Stand-in for `comfy_api.latest.io`: schemas, inputs and outputs as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

COMMON = {"display_name", "optional", "tooltip", "lazy", "extra_dict", "raw_link", "advanced"}
WIDGET = COMMON | {"default", "socketless", "force_input"}
NUMBER = WIDGET | {"min", "max", "step", "display_mode"}


class Input:
    """An input of a node; `options` are what its class allows."""

    io_type = "*"
    allowed = COMMON

    def __init__(self, id: str, **options: Any) -> None:
        unknown = set(options) - self.allowed
        if unknown:
            raise TypeError(f"{self.io_type} input {id!r} does not know {sorted(unknown)}")
        self.id = id
        self.options = options

    def __getattr__(self, name: str) -> Any:
        if name in self.allowed:
            return self.options.get(name)
        raise AttributeError(name)


class Output:
    io_type = "*"

    def __init__(self, id: str | None = None, *, display_name: str | None = None, tooltip: str | None = None) -> None:
        self.id, self.display_name, self.tooltip = id, display_name, tooltip


def _type(name: str, allowed: set[str] = COMMON) -> SimpleNamespace:
    return SimpleNamespace(
        io_type=name,
        Input=type("Input", (Input,), {"io_type": name, "allowed": allowed}),
        Output=type("Output", (Output,), {"io_type": name}),
    )


def Custom(name: str) -> SimpleNamespace:  # noqa: N802
    return _type(name)


Int = _type("INT", NUMBER | {"control_after_generate"})
Float = _type("FLOAT", NUMBER | {"round"})
String = _type("STRING", WIDGET | {"multiline", "placeholder", "dynamic_prompts"})
Boolean = _type("BOOLEAN", WIDGET | {"label_on", "label_off"})
Combo = _type("COMBO", WIDGET | {"options"})
Image = _type("IMAGE")
Video = _type("VIDEO")
Audio = _type("AUDIO")
Latent = _type("LATENT")
Vae = _type("VAE")
Clip = _type("CLIP")


class MultiType:
    class Input(Input):
        def __init__(self, id: str, types: list[SimpleNamespace], **options: Any) -> None:
            super().__init__(id, **options)
            self.io_type = ",".join(kind.io_type for kind in types)


class Hidden(str, Enum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


class FolderType(str, Enum):
    output = "output"


@dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    description: str
    search_aliases: list[str]
    inputs: list[Input]
    outputs: list[Output]
    hidden: list[Hidden] = field(default_factory=list)
    is_output_node: bool = False


class NodeOutput:
    def __init__(self, *args: Any, ui: dict | None = None) -> None:
        self.args, self.ui = args, ui

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode:
    hidden = SimpleNamespace(unique_id="1", prompt={"1": {}}, extra_pnginfo={"workflow": {"nodes": []}})
