"""Runs a graph in the API's format against the stand-in for ComfyUI, node after node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class GraphRuns:
    """nodes: classes by id. made: the pack's module that notes what they make. outside: outputs of other nodes."""

    def __init__(self, nodes: dict[str, Any], made: Any, monkeypatch: Any, outside: dict[str, Any]) -> None:
        self.nodes, self.made, self.monkeypatch, self.outside = nodes, made, monkeypatch, outside
        self.kept: list[Any] = []  # as ComfyUI's cache keeps outputs

    def __call__(self, graph: dict[str, Any], *, workflow: str = "wf") -> dict[str, Any]:
        """Outputs by node. Nodes stand after those they depend on."""
        outputs: dict[str, Any] = {}
        for name, node in graph.items():
            kind = node["class_type"]
            if kind in self.outside:
                outputs[name] = (self.outside[kind],)
                continue
            cls = self.nodes[kind]
            given = {i.id: i.options["default"] for i in cls.define_schema().inputs if "default" in i.options}
            for slot, value in node["inputs"].items():
                given[slot] = outputs[value[0]][value[1]] if isinstance(value, list) else value
            hidden = SimpleNamespace(unique_id=name, prompt=graph, extra_pnginfo={"workflow": {"id": workflow}})
            context = SimpleNamespace(prompt_id="prompt", node_id=name, list_index=None)
            with self.monkeypatch.context() as patches:
                patches.setattr(cls, "hidden", hidden, raising=False)
                patches.setattr(self.made, "get_executing_context", lambda context=context: context)
                outputs[name] = cls.execute(**given).args
        self.kept.append(outputs)
        return outputs
