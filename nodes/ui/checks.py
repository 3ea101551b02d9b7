"""What can be known before a run is said before it, at the widget that is wrong, and once.

ComfyUI asks `validate_inputs` of a node, shows what it answers at every argument that its signature names, and leaves
its own check of ranges to it for those. So the signature of `Checked` names what is wrong in the graph that is being
queued, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature, signature
from typing import Any

from magi_core.errors import MagiError, echo

from ..host.queued import queued_graph, queued_nodes, validated_node

LINKED = object()
"""In place of what another node will say."""

Checks = Mapping[str, Callable[..., None]]
"""By argument: a function of the inputs it depends on, by their names, that raises `MagiError`.

It is called when all of them are known; a parameter with a default takes what is there, be it absent or `LINKED`.
A parameter `of_node` takes the id of the node that is being queued.
"""

OF_NODE = "of_node"

_KINDS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str, "bool": bool}


class Checked:
    """A node's `validate_inputs`, for `classmethod`. node_class: its id."""

    def __init__(self, node_class: str, checks: Checks) -> None:
        self.node_class, self.checks = node_class, checks
        self._known = _Known({})

    @property
    def __signature__(self) -> Signature:
        """Read by ComfyUI for every node it validates."""
        first = Parameter("cls", Parameter.POSITIONAL_OR_KEYWORD)
        names = (Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in self._named())
        return Signature([first, *names])

    def __call__(self, cls: Any, /, **given: Any) -> bool | str:
        """True, or what is wrong with the arguments `given`; linked ones arrive as None."""
        node = validated_node()
        inputs = self._in_graph().inputs.get(node or "", {})
        found = self._faults(node, inputs | {name: value for name, value in given.items() if value is not None})
        wrong = [found.get(name) or _out_of_range(cls, name, value) for name, value in given.items()]
        return next(filter(None, wrong), True)

    def _named(self) -> list[str]:
        """The first argument that is wrong in the first node that has one; all that are checked where the graph is not
        known."""
        known = self._in_graph()
        if known.named is None:
            wrong = (name for node, inputs in known.inputs.items() for name in self._faults(node, inputs))
            known.named = [name for name in [next(wrong, None)] if name] if known.inputs else list(self.checks)
        return known.named

    def _in_graph(self) -> _Known:
        graph = queued_graph()
        if self._known.graph is not graph:
            self._known = _Known(graph)
            self._known.inputs = {node: dict(inputs) for node, inputs in queued_nodes(self.node_class)}
        return self._known

    def _faults(self, node: str | None, inputs: Mapping[str, Any]) -> dict[str, str]:
        known = self._in_graph().faults
        seen = known.get(node)
        if seen is None or seen[0] != inputs:
            seen = known[node] = (inputs, faults(self.checks, {**inputs, OF_NODE: node}))
        return seen[1]


@dataclass
class _Known:
    """Of the nodes of a class in the graph that is being queued: ComfyUI asks for the signature at each of them, and
    each is looked at once. faults: with the inputs they are of."""

    graph: Mapping[str, Any]
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str | None, tuple[Mapping[str, Any], dict[str, str]]] = field(default_factory=dict)
    named: list[str] | None = None


def faults(checks: Checks, inputs: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong, by argument, as far as `inputs` tell."""
    found = {}
    for name, check in checks.items():
        try:
            check(**_needed(check, inputs))
        except MagiError as error:
            found[name] = str(error)
        except (_Unknown, TypeError, ValueError, OverflowError):  # ComfyUI says what is no number
            continue
    return found


def refuse(checks: Checks, inputs: Mapping[str, Any]) -> None:
    """Raise `MagiError` for what is wrong: before any work, for what other nodes have said."""
    for name, check in checks.items():
        needed = {key: inputs[key] for key in signature(check).parameters if key in inputs}
        try:
            check(**needed)
        except MagiError as error:
            message = str(error)
            raise MagiError(message if name in message else f"{name}: {message}") from None


class _Unknown(Exception):
    """An input that the check needs is not known yet."""


def _needed(check: Callable[..., None], inputs: Mapping[str, Any]) -> dict[str, Any]:
    needed = {}
    for name, parameter in signature(check).parameters.items():
        value = inputs.get(name, parameter.default)
        if parameter.default is Parameter.empty and (value is Parameter.empty or value is None or _is_link(value)):
            raise _Unknown
        kind = _KINDS.get(str(parameter.annotation))
        needed[name] = LINKED if _is_link(value) else value if kind is None or value is None else kind(value)
    return needed


def _is_link(value: Any) -> bool:
    return value is LINKED or (isinstance(value, list) and len(value) == 2)


def _out_of_range(cls: Any, name: str, value: Any) -> str:
    """ComfyUI's own check of a number's range, which it leaves to us."""
    limits = next((each for each in cls.define_schema().inputs if each.id == name), None)
    low, high = getattr(limits, "min", None), getattr(limits, "max", None)
    if isinstance(value, int | float) and low is not None and high is not None and not low <= value <= high:
        return f"{name} must be from {low} to {high}: {echo(value)}"
    return ""
