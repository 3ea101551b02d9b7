"""The pack inside a real ComfyUI: nodes, help pages and templates are there; caching, interrupts and errors behave."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest

from tests.comfy.graphs import NODES, RUN, SAMPLER, cached, node, run
from tools.comfyui.find import REPOSITORY
from tools.comfyui.server import PACK, Server

SWITCHES = ("still_start", "moving_start", "look_3d", "look_2d_anime", "borders")


def test_every_node_is_offered_with_tooltips(server: Server) -> None:
    for name in NODES:
        info = server.get(f"/object_info/{name}")[name]
        assert info["category"] == "MAGI"
        inputs = [entry for kind in ("required", "optional") for entry in info["input"].get(kind, {}).values()]
        assert all(len(entry) > 1 and entry[1]["tooltip"] for entry in inputs), name


def test_nano_is_in_the_list(server: Server) -> None:
    listed = server.get("/object_info/MagiLoadModel")["MagiLoadModel"]["input"]["required"]["model"][1]["options"]
    assert listed[0] == "nano"


def test_help_pages_are_served(server: Server) -> None:
    for name in NODES:
        assert "# Magi" in _text(server, f"/extensions/{PACK}/docs/{name}.md")


def test_workflows_are_in_the_template_browser(server: Server) -> None:
    shipped = {file.stem for file in (REPOSITORY / "workflows").glob("*.json")}
    assert set(server.get("/workflow_templates")[PACK]) == shipped
    for name in shipped:
        assert server.get(f"/api/workflow_templates/{PACK}/{quote(name)}.json")["nodes"]


def test_the_inputs_of_the_shipped_workflows_are_in_the_input_folder(server: Server) -> None:
    shipped = {file.name for file in (REPOSITORY / "workflows" / "assets").iterdir()}
    assert len(shipped) == 3
    assert shipped <= {file.name for file in (server.base / "input").iterdir()}


def test_a_new_last_prompt_costs_only_the_last_part(server: Server) -> None:
    first = run(server, _graph())
    assert first["status"]["status_str"] == "success", first["status"]
    changed = _graph()
    changed["prompt_2"]["inputs"]["prompt"] = "it turns green"
    again = run(server, changed)
    assert again["status"]["status_str"] == "success", again["status"]
    assert set(cached(again)) == set(_graph()) - {"prompt_2", "extend", "decode", "save"}


def test_an_interrupt_stops_at_once_and_keeps_what_was_finished(server: Server, frontend) -> None:
    graph = _graph(seed=11)
    graph["extend"]["inputs"]["chunks"] = 60
    prompt = server.submit(graph, frontend.client)
    while not _steps_of("extend", frontend):
        assert prompt not in server.get(f"/history/{prompt}"), "it ended before the extend began"
    server.post("/interrupt", {})
    started = time.monotonic()
    entry = server.wait_for(prompt, 20)
    assert time.monotonic() - started < 15
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])

    graph["extend"]["inputs"]["chunks"] = 1
    again = run(server, graph)
    assert again["status"]["status_str"] == "success"
    assert "sampler" in cached(again)


@pytest.mark.parametrize(
    ("node", "argument", "value", "message"),
    [
        ("sampler", "width", 725, "width must be a multiple of 16: 725 -> use 720 or 736"),
        ("sampler", "steps", 6, "steps must be a multiple of the window"),
        ("sampler", "kv_ranges", "many", "kv_ranges must be whole numbers"),
        ("extend", "autosave", "a?b", "use 'a-b'"),
    ],
)
def test_what_cannot_work_is_one_error_at_its_widget_before_the_run(
    server: Server, node: str, argument: str, value: Any, message: str
) -> None:
    graph = _graph()
    graph[node]["inputs"][argument] = value
    with pytest.raises(RuntimeError) as refused:
        server.submit(graph)
    answer = json.loads(str(refused.value)[str(refused.value).index("{") :])
    (error,) = answer["node_errors"][node]["errors"]
    assert list(answer["node_errors"]) == [node]
    assert error["extra_info"]["input_name"] == argument and message in error["details"]


def test_what_another_node_says_is_checked_before_any_work(server: Server) -> None:
    graph = _graph()
    graph["width"] = node("PrimitiveInt", value=725)
    graph["sampler"]["inputs"]["width"] = ["width", 0]
    entry = run(server, graph)
    errors = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert "width must be a multiple of 16: 725 -> use 720 or 736" in errors[0]["exception_message"]
    assert errors[0]["exception_type"].endswith("MagiError")


def _graph(seed: int = 3) -> dict[str, Any]:
    """Two chunks with a prompt each, in ComfyUI's API format, with few steps."""
    nano = {"model": "nano", "dtype": "auto"}
    prompts = {
        f"prompt_{i}": node("MagiTextEncode", text_encoder=["encoder", 0], prompt=text, high_quality=True)
        for i, text in ((1, "a big red circle moves right"), (2, "it turns blue"))
    }
    for prompt in prompts.values():
        prompt["inputs"] |= dict.fromkeys(SWITCHES, False)
    return {
        "model": node("MagiLoadModel", **nano, variant="auto", attention="auto"),
        "vae": node("MagiLoadVAE", **nano),
        "encoder": node("MagiLoadTextEncoder", **nano),
        **prompts,
        "sampler": node(
            "MagiChunkSampler", **SAMPLER, **RUN, model=["model", 0], conditioning=["prompt_1", 0], seed=seed
        ),
        "extend": node(
            "MagiExtend",
            **RUN,
            model=["model", 0],
            state=["sampler", 0],
            conditioning=["prompt_2", 0],
            chunks=1,
            handoff="clean",
        ),
        "decode": node("MagiVAEDecode", vae=["vae", 0], state=["extend", 0]),
        "save": node("SaveVideo", video=["decode", 1], filename_prefix="video/pack", format="auto", codec="auto"),
    }


def _steps_of(node: str, frontend) -> float:
    """Steps that `node` has reported to the page so far."""
    states = [data["nodes"].get(node, {}) for data in frontend.received("progress_state")]
    return max((state["value"] for state in states if state.get("state") == "running"), default=0)


def _text(server: Server, path: str) -> str:
    with urllib.request.urlopen(server.url + path, timeout=30) as answer:
        return answer.read().decode()
