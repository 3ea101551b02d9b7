"""A workflow as ComfyUI's interface saves it, as its HTTP API takes it, and the story it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Graph = dict[str, dict[str, Any]]
"""Node id -> {"class_type": ..., "inputs": {name: value or [node id, output]}}."""

NOTES = ("Note", "MarkdownNote")  # nodes of the interface that ComfyUI itself does not know
BYPASSED = 4  # a node's mode: what comes in goes out


@dataclass(frozen=True)
class Story:
    """What a chain of one sampler and its extends renders. parts: (prompt, chunks) in order."""

    parts: tuple[tuple[str, int], ...]
    width: int
    height: int
    seed: int
    model: str

    @property
    def prompts(self) -> list[str]:
        """One per chunk."""
        return [prompt for prompt, chunks in self.parts for _ in range(chunks)]


def to_api(workflow: Mapping[str, Any]) -> Graph:
    """The nodes of a saved workflow with their links and widget values. Muted nodes and subgraphs are not handled."""
    left_out = {node["id"]: node for node in workflow["nodes"] if node["mode"] == BYPASSED}
    sources = {link[0]: (link[1], link[2]) for link in workflow["links"]}

    def source(link: int) -> list[Any]:
        """Node and output that a link comes from; past a bypassed node, what it takes of the same type."""
        node, output = sources[link]
        if node not in left_out:
            return [str(node), output]
        kind = left_out[node]["outputs"][output]["type"]
        return source(next(entry["link"] for entry in left_out[node]["inputs"] if entry["type"] == kind))

    return {
        str(node["id"]): {"class_type": node["type"], "inputs": dict(_inputs(node, source))}
        for node in workflow["nodes"]
        if node["type"] not in NOTES and node["id"] not in left_out
    }


def _inputs(node: Mapping[str, Any], source: Callable[[int], list[Any]]) -> Iterator[tuple[str, Any]]:
    for entry in node["inputs"]:
        if entry["link"] is not None:
            yield entry["name"], source(entry["link"])
        elif entry.get("widget"):
            yield entry["name"], node["widgets_values_named"][entry["name"]]


def story_of(graph: Graph) -> Story:
    """The story of the one chain that is decoded in `graph`."""
    decoder = next(node for node in graph.values() if node["class_type"] == "MagiVAEDecode")
    parts, node = [], decoder
    while "state" in node["inputs"]:
        node = graph[node["inputs"]["state"][0]]
        prompt = graph[node["inputs"]["conditioning"][0]]["inputs"]["prompt"]
        parts.insert(0, (prompt, node["inputs"]["chunks"]))
    size_and_seed = {name: node["inputs"][name] for name in ("width", "height", "seed")}
    return Story(tuple(parts), **size_and_seed, model=graph[node["inputs"]["model"][0]]["inputs"]["model"])
