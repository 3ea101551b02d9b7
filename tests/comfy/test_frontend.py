"""What the pack adds to the frontend, and the shipped workflows in both of its renderers."""

from __future__ import annotations

import json

import pytest

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


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_survives_opening_and_saving(frontend, file) -> None:
    frontend.drop(file)
    shipped, opened = json.loads(file.read_text()), frontend.serialised()
    assert _widgets(opened) == _widgets(shipped)
    assert sorted(link[1:] for link in opened["links"]) == sorted(link[1:] for link in shipped["links"])
    assert not frontend.errors


def test_no_nodes_overlap(frontend) -> None:
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
        frontend.drop(WORKFLOWS[0])
        frontend.page.wait_for_selector("[data-node-id]", timeout=20_000)
        shown = frontend.page.locator("[data-node-id]").count()
        assert shown == len(json.loads(WORKFLOWS[0].read_text())["nodes"])
        assert not frontend.errors
    finally:
        server.post("/settings", {"Comfy.VueNodes.Enabled": False})


def _widgets(workflow: dict) -> dict[int, list]:
    return {node["id"]: node.get("widgets_values") for node in workflow["nodes"]}
