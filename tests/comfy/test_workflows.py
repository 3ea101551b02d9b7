"""Every shipped workflow, dragged onto the real frontend and queued from there, makes what it promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.workflow import BYPASSED
from tests.comfy.graphs import NODES
from tools.comfyui.find import REPOSITORY
from tools.comfyui.results import RESULTS, frames_and_size, videos_and_pictures
from tools.comfyui.server import Server

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
SAMPLING = ("MagiChunkSampler", "MagiExtend", "MagiSecondPass", "MagiRetouch")
LIMIT = 900.0  # seconds for one workflow; at most about one minute on two free cores
STORY = {"prompt", "text", "chunks", "seed", "control_after_generate", "fps", "take", "model", "image", "file"}
STORY |= {"strength", "first", "last", "reroll"}
PLACE = {"width", "height", "filename_prefix", "autosave", "leave_in_flight", "chunk"}
"""Widgets that a workflow sets because of what it tells or where it saves; all others stay at their defaults."""


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_shipped_workflow_opens_as_saved_and_runs(file: Path, frontend, server: Server) -> None:
    shipped, expected = _read(file), RESULTS[file.stem]
    frontend.drop(file)
    _check_opened(frontend, shipped)

    entry = server.wait_for(frontend.queue(), LIMIT)

    assert entry["status"]["status_str"] == "success", _failure(entry, server)
    videos, pictures = videos_and_pictures(server, entry)
    (video,) = videos
    assert frames_and_size(video) == (expected.frames, expected.size)
    assert len(pictures) == expected.pictures and all(picture.stat().st_size for picture in pictures)
    for take in expected.takes:
        assert (server.base / "output" / "magi" / take).is_file()
    assert not frontend.errors
    _check_progress(frontend, shipped)
    assert "chunk 1 of" in " ".join(frontend.texts), "no progress text on the nodes"


def test_every_node_is_in_a_workflow() -> None:
    assert {node["type"] for file in WORKFLOWS for node in _read(file)["nodes"]} >= set(NODES)


def test_every_workflow_has_a_picture_a_note_and_groups() -> None:
    for file in WORKFLOWS:
        workflow = _read(file)
        assert file.with_suffix(".jpg").stat().st_size > 1000, f"{file.stem} has no picture"
        assert "MarkdownNote" in {node["type"] for node in workflow["nodes"]}
        assert len(workflow["groups"]) >= 3


def test_every_widget_has_a_value_that_its_node_takes(server: Server) -> None:
    for file in WORKFLOWS:
        for node, name, value in _widgets(_read(file)):
            specification = _specification(server, node["type"], name)
            if specification is not None:
                kind, options = specification
                assert _is_valid(kind, options, value), f"{file.stem}: {node['type']}.{name} = {value!r}"


def test_workflows_leave_sampling_and_memory_at_their_defaults(server: Server) -> None:
    for file in WORKFLOWS:
        for node, name, value in _widgets(_read(file)):
            specification = _specification(server, node["type"], name)
            if node["type"] in NODES and specification is not None and name not in STORY | PLACE:
                assert value == _default(*specification), f"{file.stem}: {node['type']}.{name} = {value!r}"


def _check_opened(frontend, shipped: dict[str, Any]) -> None:
    """Every node is known, nothing asks for attention, and what would be saved is what was opened."""
    page, opened = frontend.page, frontend.serialised()
    assert page.evaluate("app.graph.nodes.filter(n => !LiteGraph.registered_node_types[n.type]).length") == 0
    assert page.locator("[role=dialog]").count() == 0
    assert {n["id"]: n.get("widgets_values") for n in opened["nodes"]} == {
        n["id"]: n.get("widgets_values") for n in shipped["nodes"]
    }
    assert sorted(link[1:] for link in opened["links"]) == sorted(link[1:] for link in shipped["links"])
    assert [group["title"] for group in opened["groups"]] == [group["title"] for group in shipped["groups"]]


def _check_progress(frontend, workflow: dict[str, Any]) -> None:
    """Every sampler and extend counted up over the websocket, to its end."""
    samplers = {str(node["id"]) for node in workflow["nodes"] if node["type"] in SAMPLING}
    seen: dict[str, list[tuple[float, float]]] = {}
    for data in frontend.received("progress_state"):
        for node, state in data["nodes"].items():
            if node in samplers and state["state"] == "running":
                seen.setdefault(node, []).append((state["value"], state["max"]))
    assert set(seen) == samplers
    for steps in seen.values():
        values = [value for value, _ in steps]
        assert values == sorted(values)
        assert len(set(values)) > 2  # a retouch is soon through
        assert steps[-1][0] == steps[-1][1] > 1


def _widgets(workflow: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Node, name and value of every widget of nodes that run and that no link gives the value of."""
    for node in workflow["nodes"]:
        if node["mode"] != BYPASSED:
            linked = {entry["name"] for entry in node["inputs"] if entry["link"] is not None}
            for name, value in node.get("widgets_values_named", {}).items():
                if name not in linked:
                    yield node, name, value


def _specification(server: Server, node: str, name: str) -> tuple[Any, dict[str, Any]] | None:
    """Type and options of an input as the server describes it; None for what only the frontend knows."""
    groups = server.get(f"/object_info/{node}").get(node, {}).get("input", {})
    found = next((group[name] for group in groups.values() if name in group), None)
    return found and (found[0], found[1] if len(found) > 1 else {})


def _is_valid(kind: Any, options: dict[str, Any], value: Any) -> bool:
    if kind == "COMBO" or isinstance(kind, list):
        return value in (kind if isinstance(kind, list) else options["options"])
    if kind in ("INT", "FLOAT"):
        return not isinstance(value, bool) and options["min"] <= value <= options["max"]
    types = {"STRING": str, "BOOLEAN": bool}
    return isinstance(value, types.get(kind, object))


def _default(kind: Any, options: dict[str, Any]) -> Any:
    """The value a new node has: of a list without a default, its first entry."""
    first = kind[0] if isinstance(kind, list) else next(iter(options.get("options", ())), None)
    return options.get("default", first)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def _failure(entry: dict[str, Any], server: Server) -> str:
    return json.dumps(entry["status"]["messages"], indent=1, default=str) + "\n" + server.log_tail()
