"""What a run would fail with, as its plan says before it. Plans are the desk's, and know the nodes: it offers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from magi_core.errors import MagiError

from ..host.queued import queued_graph

Fault = tuple[str, str]
"""Argument and sentence."""

_PLANS: list[Callable[[Mapping[str, Any]], dict[str, Fault]]] = []
_LAST: list[tuple[Mapping[str, Any], dict[str, Fault]]] = []


def foresee_by(faults: Callable[[Mapping[str, Any]], dict[str, Fault]]) -> None:
    """From now on `faults` says what the nodes of a graph would fail with: by node, the argument and a sentence."""
    _PLANS[:] = [faults]


def check_plan(argument: str, node: str | None) -> None:
    """Raise `MagiError` for what the plan of a node that is being queued says is wrong with an argument of it."""
    graph = queued_graph()
    if node is None or not graph:
        return
    if not _LAST or _LAST[0][0] is not graph:
        _LAST[:] = [(graph, found) for found in (faults(graph) for faults in _PLANS)]
    for _, found in _LAST:
        at, sentence = found.get(node, ("", ""))
        if at == argument:
            raise MagiError(sentence)


def check_conditioning(conditioning: object = None, of_node: str | None = None) -> None:
    """What is said of the chunks, and how many they are, with all that the node goes on from."""
    check_plan("conditioning", of_node)
