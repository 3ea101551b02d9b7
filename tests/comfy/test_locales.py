"""The pack's languages in a real ComfyUI: the server hands them out, and the frontend shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tools.comfyui.find import REPOSITORY
from tools.comfyui.server import Server

LOCALES = REPOSITORY / "locales"
LANGUAGES = sorted(folder.name for folder in LOCALES.iterdir())


def test_the_server_hands_out_every_language(server: Server) -> None:
    served = server.get("/i18n")
    assert LANGUAGES == ["en", "zh"]
    for language in LANGUAGES:
        assert served[language]["nodeDefs"] == _nodes(language)
        assert served[language]["nodeCategories"] == {"MAGI": "MAGI"}


def test_english_is_what_the_server_says_of_the_nodes(server: Server) -> None:
    for name, texts in _nodes("en").items():
        info = server.get(f"/object_info/{name}")[name]
        assert (info["display_name"], info["description"]) == (texts["display_name"], texts["description"])
        inputs = info["input"].get("required", {}) | info["input"].get("optional", {})
        tooltips = {key: text["tooltip"] for key, text in texts["inputs"].items()}
        assert {key: spec[1]["tooltip"] for key, spec in inputs.items()} == tooltips
        outputs = list(zip(info["output_name"], info["output_tooltips"], strict=True))
        assert outputs == [(text["name"], text["tooltip"]) for text in texts["outputs"].values()]


@pytest.fixture
def chinese(server: Server) -> Iterator[None]:
    """As the user's settings have it, for the next page that opens."""
    server.post("/settings", {"Comfy.Locale": "zh"})
    yield
    server.post("/settings", {"Comfy.Locale": "en"})


def test_nodes_are_chinese_in_the_chinese_frontend(chinese: None, frontend) -> None:
    for name, texts in _nodes("zh").items():
        shown = frontend.page.evaluate(
            """name => {
                app.graph.clear()
                const node = LiteGraph.createNode(name)
                app.graph.add(node)
                return {
                    title: node.title,
                    widgets: node.widgets?.map(w => [w.name, w.label]) ?? [],
                    inputs: node.inputs.map(i => [i.name, i.localized_name]),
                    outputs: node.outputs.map(o => o.localized_name),
                }
            }""",
            name,
        )
        labels = dict(shown["widgets"]) | dict(shown["inputs"])
        others = ("fixed", "control_after_generate", "magi_")  # ComfyUI's own under a seed, its newer name; the desk
        labels = {name: label for name, label in labels.items() if not name.startswith(others)}
        assert shown["title"] == texts["display_name"]
        assert labels == {key: text["name"] for key, text in texts["inputs"].items()}
        assert shown["outputs"] == [text["name"] for text in texts["outputs"].values()]
    assert not frontend.errors


def _nodes(language: str) -> dict:
    return json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
