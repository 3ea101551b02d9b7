"""A workflow as ComfyUI's interface saves it, as its HTTP API takes it, and the story it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Graph = dict[str, dict[str, Any]]
"""Node id -> {"class_type": ..., "inputs": {name: value or [node id, output]}}."""

NOTES = ("Note", "MarkdownNote")  # nodes of the interface that ComfyUI itself does not know


@dataclass(frozen=True)
class Story:
    """What a chain of one sampler and its extends renders. parts: (prompt, chunks) in order."""

    parts: tuple[tuple[str, int], ...]
    width: int
    height: int
    seed: int

    @property
    def prompts(self) -> list[str]:
        """One per chunk."""
        return [prompt for prompt, chunks in self.parts for _ in range(chunks)]


def to_api(workflow: Mapping[str, Any]) -> Graph:
    """The nodes of a saved workflow with their links and widget values. Muted nodes and subgraphs are not handled."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": dict(_inputs(node, sources))}
        for node in workflow["nodes"]
        if node["type"] not in NOTES
    }


def _inputs(node: Mapping[str, Any], sources: Mapping[int, list[Any]]) -> Iterator[tuple[str, Any]]:
    for entry in node["inputs"]:
        if entry["link"] is not None:
            yield entry["name"], sources[entry["link"]]
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
    return Story(tuple(parts), **size_and_seed)
