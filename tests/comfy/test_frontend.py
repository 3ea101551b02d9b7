"""What the pack adds to the frontend, and the shipped workflows in both of its renderers."""

from __future__ import annotations

import json

from tests.comfy.comfyui import REPOSITORY, Server

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
PLAIN = ["width", "height", "chunks", "seed", "control_after_generate", "steps", "text_guidance", "previous_guidance"]

ADD_SAMPLER = """() => {
    app.graph.clear()
    const node = LiteGraph.createNode('MagiChunkSampler')
    app.graph.add(node)
}"""
VISIBLE = "app.graph.nodes[0].widgets.filter(w => app.graph.nodes[0].isWidgetVisible(w)).map(w => w.name)"


def test_advanced_widgets_are_tucked_away_until_asked_for(frontend) -> None:
    page = frontend.page
    page.evaluate(ADD_SAMPLER)
    assert page.evaluate(VISIBLE) == PLAIN
    page.evaluate("app.graph.nodes[0].toggleAdvanced()")
    assert len(page.evaluate(VISIBLE)) > len(PLAIN)


def test_no_nodes_overlap() -> None:
    for file in WORKFLOWS:
        boxes = [(*node["pos"], *node["size"]) for node in json.loads(file.read_text())["nodes"]]
        for i, (x, y, width, height) in enumerate(boxes):
            for left, top, wide, high in boxes[:i]:
                apart = x >= left + wide or left >= x + width or y - 30 >= top + high or top - 30 >= y + height
                assert apart, f"{file.stem}: two nodes overlap at {x}, {y}"


def test_workflows_open_in_nodes_2(server: Server, frontend) -> None:
    server.post("/settings", {"Comfy.VueNodes.Enabled": True})
    try:
        frontend.page.reload()
        frontend.wait_until_ready()
        for file in WORKFLOWS:
            frontend.drop(file)
            expected = len(json.loads(file.read_text())["nodes"])
            shown = "n => document.querySelectorAll('[data-node-id]').length === n"
            frontend.page.wait_for_function(shown, arg=expected, timeout=20_000)
            assert not frontend.errors, file.stem
    finally:
        server.post("/settings", {"Comfy.VueNodes.Enabled": False})
