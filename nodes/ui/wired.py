"""What does not belong at an input is refused: ComfyUI passes on what is typed in place of a wire, and what a wire
brings in place of what is typed, whatever the input's type and range."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from comfy_api.latest import io
from torch import Tensor

from magi_core.errors import MagiError, echo

Node = TypeVar("Node", bound=type[io.ComfyNode])
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def wired(node: Node) -> Node:
    """The node, whose `execute` raises `MagiError` for an input without widget that comes from no other node, and for
    a widget's value that could not be typed there."""
    execute = node.execute.__func__
    inputs = node.define_schema().inputs
    sockets = {each.id: each.optional for each in inputs if each.io_type not in WIDGETS}
    widgets = {each.id: each for each in inputs if each.io_type in WIDGETS}

    @functools.wraps(execute)
    def checked(cls: Any, *given: Any, **named: Any) -> Any:
        for name, optional in sockets.items():
            if name in named and (_is_typed(named[name]) or (named[name] is None and not optional)):
                raise MagiError(f"{name} must come from another node over a wire; it is {echo(named[name])}")
        for name in widgets.keys() & named.keys():
            if wrong := _wrong(widgets[name], named[name]):
                raise MagiError(f"{name} must be {wrong}: {echo(named[name])}")
        return execute(cls, *given, **named)

    node.execute = classmethod(checked)
    return node


def _is_typed(value: Any) -> bool:
    """Whether a value is one that a queued graph, which is JSON, can hold in place of a link."""
    if isinstance(value, dict):  # LATENT and AUDIO are
        return not any(isinstance(part, Tensor) for part in value.values())
    return isinstance(value, bool | int | float | str) or type(value) is list


def _wrong(widget: Any, value: Any) -> str:
    """What a value must be that no widget of this kind can hold, in words; "" for one that it can."""
    kind, low, high = widget.io_type, getattr(widget, "min", None), getattr(widget, "max", None)
    if kind in ("STRING", "COMBO"):
        return "" if isinstance(value, str) else "text"
    if kind == "BOOLEAN":
        return "" if isinstance(value, bool | int) else "true or false"
    what = "a whole number" if kind == "INT" else "a number"
    if not isinstance(value, int if kind == "INT" else int | float):
        return what
    if low is None or high is None:
        return ""
    return "" if low <= value <= high else f"{what} from {low} to {high}"
