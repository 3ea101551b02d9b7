"""The graph that is being queued, while ComfyUI validates it: nodes are told of their own widgets alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

Inputs = Mapping[str, Any]
"""Of one node, as the API writes them: values, and links [node, output]."""

_QUEUED: ContextVar[Mapping[str, Any] | None] = ContextVar("magi_queued", default=None)


def listen() -> None:
    """From now on every request to queue a graph is remembered, for as long as it is handled."""
    server = getattr(PromptServer, "instance", None)  # there is none where the nodes run without ComfyUI's server
    if server is not None:
        server.add_on_prompt_handler(_remember)


def queued_nodes(node_class: str) -> Iterator[tuple[str, Inputs]]:
    """Id and inputs of every node of a class; none outside of a request."""
    for node_id, node in (_QUEUED.get() or {}).items():
        if isinstance(node, dict) and node.get("class_type") == node_class:
            inputs = node.get("inputs")
            yield str(node_id), inputs if isinstance(inputs, dict) else {}


def queued_graph() -> Mapping[str, Any]:
    """The whole graph in the API's format; empty outside of a request."""
    return _QUEUED.get() or {}


def validated_node() -> str | None:
    """Id of the node that ComfyUI is asking, or None."""
    context = get_executing_context()
    return None if context is None else context.node_id


def _remember(request: dict[str, Any]) -> dict[str, Any]:
    graph = request.get("prompt")
    _QUEUED.set(graph if isinstance(graph, dict) else None)
    return request
