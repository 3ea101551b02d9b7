"""What users see of the nodes: names, tooltips, help pages, and types that fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HELP = Path(__file__).parents[2] / "js" / "docs"
NODES = {
    "MagiLoadModel",
    "MagiLoadVAE",
    "MagiLoadTextEncoder",
    "MagiLoRA",
    "MagiModelSettings",
    "MagiTextEncode",
    "MagiStoryboard",
    "MagiStoryboardPrompt",
    "MagiVAEEncode",
    "MagiChunkSampler",
    "MagiExtend",
    "MagiSecondPass",
    "MagiRetouch",
    "MagiRewind",
    "MagiVAEDecode",
    "MagiDecodeToFile",
    "MagiSaveState",
    "MagiLoadState",
    "MagiStateInfo",
}


def test_every_node_is_registered(nodes: dict[str, Any]) -> None:
    assert set(nodes) == NODES


def test_every_node_introduces_itself(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        schema = node.define_schema()
        assert schema.category == "MAGI"
        assert schema.display_name.startswith("Magi ")
        assert len(schema.description) > 40
        assert schema.search_aliases


def test_every_input_and_output_has_a_tooltip(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        schema = node.define_schema()
        for part in (*schema.inputs, *schema.outputs):
            assert part.tooltip, f"{schema.node_id}: {part.id or part.display_name} has no tooltip"
            assert part.tooltip[0].isupper() and part.tooltip.endswith("."), part.tooltip


def test_every_node_has_a_help_page_that_names_its_inputs(nodes: dict[str, Any]) -> None:
    for name, node in nodes.items():
        text = (HELP / f"{name}.md").read_text()
        missing = [i.id for i in node.define_schema().inputs if f"`{i.id}`" not in text]
        assert not missing, f"{name}.md does not mention {missing}"


def test_every_input_of_our_own_types_has_a_node_that_makes_it(nodes: dict[str, Any]) -> None:
    schemas = [node.define_schema() for node in nodes.values()]
    made = {output.io_type for schema in schemas for output in schema.outputs}
    taken = {kind for schema in schemas for i in schema.inputs for kind in i.io_type.split(",")}
    taken = {kind for kind in taken if kind.startswith("MAGI_")}
    assert taken <= made


def test_widget_defaults_are_within_their_limits(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        for i in node.define_schema().inputs:
            if i.io_type in ("INT", "FLOAT"):
                assert i.options["min"] <= i.options["default"] <= i.options["max"], i.id
            if i.io_type == "COMBO" and "default" in i.options:
                assert i.options["default"] in i.options["options"], i.id


def test_the_rarely_needed_settings_are_tucked_away(nodes: dict[str, Any]) -> None:
    shown = {i.id for i in nodes["MagiChunkSampler"].define_schema().inputs if not i.advanced}
    assert shown == {
        "model",
        "conditioning",
        "prefix",
        "width",
        "height",
        "chunks",
        "seed",
        "steps",
        "text_guidance",
        "previous_guidance",
        "vae",
    }
