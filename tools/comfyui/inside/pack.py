"""The pack, loaded as ComfyUI loads it, and its nodes as functions."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import server
import torch

import nodes as core

assert server.PromptServer and core.NODE_CLASS_MAPPINGS, "ComfyUI comes before the pack"
REPOSITORY = Path(__file__).parents[3]


def _load() -> Any:
    """The extension."""
    spec = importlib.util.spec_from_file_location(
        "magi_pack", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["magi_pack"] = package
    spec.loader.exec_module(package)
    return asyncio.run(package.comfy_entrypoint())


EXTENSION = _load()
asyncio.run(EXTENSION.on_load())
NODES = {node.define_schema().node_id: node for node in asyncio.run(EXTENSION.get_node_list())}


def run(name: str, **given: Any) -> Any:
    """Executes a node with the defaults of its widgets, as ComfyUI does: without gradients. Its output, or outputs."""
    node = NODES[name]
    node.hidden = SimpleNamespace(unique_id=None, prompt=None, extra_pnginfo=None)
    defaults = {i.id: i.default for i in node.define_schema().inputs if getattr(i, "default", None) is not None}
    with torch.inference_mode():
        outputs = node.execute(**{**defaults, **given}).args
    return outputs[0] if len(outputs) == 1 else outputs


def module(name: str) -> Any:
    """A module of the pack."""
    return sys.modules[f"magi_pack.nodes.{name}"]


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Relative L2."""
    return float((a.float() - b.float()).norm() / b.float().norm())
