"""What a node would make, named before it runs: a digest of its class, its typed inputs and the recipes of its links.

Equal recipes make equal things, so what one prompt made is found again from the graph of another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeGuard

from magi_core.digest import digest
from magi_core.errors import MagiError, echo

Graph = Mapping[str, Any]
"""As the API writes it: {id: {"class_type": ..., "inputs": {...}}}."""

Fingerprints = Mapping[str, Callable[..., str]]
"""By class: what files that a node reads are, as it says it to ComfyUI (`fingerprint_inputs`)."""

MOST_NODES = 5000


def is_link(value: Any) -> TypeGuard[list[Any]]:
    """Whether an input comes from another node: [id, output]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int


def class_of(node: Any) -> str:
    found = node.get("class_type") if isinstance(node, Mapping) else None
    return found if isinstance(found, str) else ""


def inputs_of(node: Any) -> Mapping[str, Any]:
    found = node.get("inputs") if isinstance(node, Mapping) else None
    return found if isinstance(found, Mapping) else {}


class Recipes:
    """Of the nodes of one graph. `MagiError` for a graph that ComfyUI would not run: too large, in a circle."""

    def __init__(self, graph: Graph, fingerprints: Fingerprints) -> None:
        if len(graph) > MOST_NODES:
            raise MagiError(f"a workflow of {len(graph):,} nodes is not looked at, only of up to {MOST_NODES:,}")
        self.graph, self._fingerprints = graph, fingerprints
        self._known: dict[str, str] = {}

    @property
    def known(self) -> list[str]:
        """Nodes that were asked for and all before them, each after those it depends on."""
        return list(self._known)

    def of_link(self, link: Any) -> str:
        """Of one output of a node."""
        return digest("output", self.of(str(link[0])), link[1])

    def of(self, node_id: str) -> str:
        """Of a node: nodes before it first, whatever their number."""
        waiting: list[tuple[str, bool]] = [(node_id, False)]
        open_: set[str] = set()
        while waiting:
            each, ready = waiting.pop()
            if each in self._known:
                continue
            if ready:
                self._known[each] = self._mixed(each)
                open_.discard(each)
                continue
            if each in open_:
                raise MagiError(f"the nodes before {echo(node_id)} go in a circle")
            open_.add(each)
            waiting.append((each, True))
            links = [str(value[0]) for value in inputs_of(self._node(each)).values() if is_link(value)]
            if any(link in open_ for link in links):
                raise MagiError(f"the nodes before {echo(node_id)} go in a circle")
            waiting += [(link, False) for link in links if link not in self._known]
        return self._known[node_id]

    def of_inputs(self, node_id: str, names: Collection[str]) -> str:
        """Of some inputs of a node: equal ones are equal whatever its others are."""
        self.of(node_id)
        return digest("inputs", self._inputs({k: v for k, v in inputs_of(self._node(node_id)).items() if k in names}))

    def _inputs(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        return sorted(
            (name, digest("output", self._known[str(value[0])], value[1]) if is_link(value) else _literal(value))
            for name, value in inputs.items()
        )

    def _node(self, node_id: str) -> Any:
        if node_id not in self.graph:
            raise MagiError(f"there is no node {echo(node_id)} in this workflow")
        return self.graph[node_id]

    def _mixed(self, node_id: str) -> str:
        node = self._node(node_id)
        inputs, kind = inputs_of(node), class_of(node)
        mixed = self._inputs(inputs)
        files = ""
        if kind in self._fingerprints:
            given = {name: None if is_link(value) else value for name, value in inputs.items()}
            try:
                files = self._fingerprints[kind](**given)
            except (TypeError, ValueError, OSError) as error:  # MagiError: no such file
                files = f"none: {type(error).__name__}"
        return digest(kind, mixed, files)


def _literal(value: Any) -> str:
    """A typed value; ComfyUI makes 24.0 of 24 where a node takes decimals."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return digest(value if not isinstance(value, bool) else f"bool {value}")
