"""What is typed where a wire belongs is refused: ComfyUI passes it on as it is, whatever the input's type."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from comfy_api.latest import io
from torch import Tensor

from magi_core.errors import MagiError, echo

Node = TypeVar("Node", bound=type[io.ComfyNode])
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def wired(node: Node) -> Node:
    """The node, whose `execute` raises `MagiError` for an input without widget that comes from no other node."""
    execute = node.execute.__func__
    sockets = {each.id: each.optional for each in node.define_schema().inputs if each.io_type not in WIDGETS}

    @functools.wraps(execute)
    def checked(cls: Any, *given: Any, **named: Any) -> Any:
        for name, optional in sockets.items():
            if name in named and (_is_typed(named[name]) or (named[name] is None and not optional)):
                raise MagiError(f"{name} must come from another node over a wire; it is {echo(named[name])}")
        return execute(cls, *given, **named)

    node.execute = classmethod(checked)
    return node


def _is_typed(value: Any) -> bool:
    """Whether a value is one that a queued graph, which is JSON, can hold in place of a link."""
    if isinstance(value, dict):  # LATENT and AUDIO are
        return not any(isinstance(part, Tensor) for part in value.values())
    return isinstance(value, bool | int | float | str) or type(value) is list
