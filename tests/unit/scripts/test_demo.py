"""The demo is the shipped workflow: what it queues over HTTP and what it tells the command line come from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.workflow import story_of, to_api

WORKFLOWS = Path(__file__).parents[3] / "workflows"


def graph(name: str) -> dict:
    return to_api(json.loads((WORKFLOWS / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", sorted(path.name for path in WORKFLOWS.glob("*.json")))
def test_every_link_leads_to_a_node_of_the_graph(file: str) -> None:
    nodes = graph(file)
    links = [value for node in nodes.values() for value in node["inputs"].values() if isinstance(value, list)]
    assert links and all(source in nodes for source, _ in links)


def test_widgets_keep_their_values_and_notes_are_left_out() -> None:
    nodes = graph("01 Text to video.json").values()
    sampler = next(node["inputs"] for node in nodes if node["class_type"] == "MagiChunkSampler")
    assert (sampler["width"], sampler["window"], sampler["kv_ranges"]) == (128, 4, "5, 4, 3, 2")
    assert "control_after_generate" not in sampler
    assert "prefix" not in sampler
    assert not [node for node in nodes if node["class_type"] == "MarkdownNote"]


def test_a_bypassed_node_hands_on_what_it_gets() -> None:
    """Load Model -> LoRA, bypassed -> Model Settings."""
    nodes = graph("08 Long video, straight to a file.json")
    assert "MagiLoRA" not in {node["class_type"] for node in nodes.values()}
    (settings,) = (node for node in nodes.values() if node["class_type"] == "MagiModelSettings")
    source, output = settings["inputs"]["model"]
    assert (nodes[source]["class_type"], output) == ("MagiLoadModel", 0)


def test_the_demo_chains_three_different_prompts_of_equal_length() -> None:
    story = story_of(graph("01 Text to video.json"))
    assert len({prompt for prompt, _ in story.parts}) == 3
    assert len({chunks for _, chunks in story.parts}) == 1
    assert story.prompts[0] == story.parts[0][0] and story.prompts[-1] == story.parts[2][0]
