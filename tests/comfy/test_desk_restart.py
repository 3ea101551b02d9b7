"""The desk in a real ComfyUI that ends in the middle of an extend, is started again, and goes on."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.comfy.graphs import LIMIT, RUN, SAMPLER, node
from tools.comfyui.server import Server, base_directory


def _graph() -> dict[str, Any]:
    nano = {"model": "nano", "dtype": "auto"}
    linked = {"model": ["1", 0], "vae": ["2", 0]}
    extend = RUN | {"chunks": 3, "handoff": "clean", "autosave": "kept"}
    return {
        "1": node("MagiLoadModel", **nano, variant="distill", attention="auto"),
        "2": node("MagiLoadVAE", **nano),
        "3": node("MagiLoadTextEncoder", **nano),
        "4": node("MagiStoryboard", text_encoder=["3", 0], text="0: a big red circle", fps=24),
        "5": node("MagiChunkSampler", **(SAMPLER | RUN | {"seed": 41}), **linked, conditioning=["4", 0]),
        "6": node("MagiStoryboard", text_encoder=["3", 0], text="0-2: it turns blue", fps=24),
        "7": node("MagiExtend", **extend, **linked, state=["5", 0], conditioning=["6", 0]),
        "8": node("MagiStateInfo", state=["7", 0]),
    }


def _queue(server: Server) -> str:
    extra = {"extra_pnginfo": {"workflow": {"id": "restart"}}}
    body = {"prompt": _graph(), "client_id": "tests", "extra_data": extra}
    return json.loads(server.post("/prompt", body))["prompt_id"]


def _desk(server: Server) -> dict[str, Any]:
    return server.get("/magi/desk?workflow=restart")["nodes"].get("7", {})


def _until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def _keys(shown: dict[str, Any]) -> list[str]:
    return [chunk["key"] for chunk in shown["plan"]["chunks"]]


def test_a_restart_restores_the_desk_and_a_resumed_extend_shows_all_its_chunks(comfyui: Path, tmp_path: Path) -> None:
    base = base_directory(tmp_path / "base")
    with Server(comfyui, base) as server:
        _queue(server)

        def one_is_made() -> Any:
            shown = _desk(server)
            return shown if shown and _keys(shown)[1] in shown["clips"] else None

        before = _until(one_is_made)
    assert before["status"] == "running" and len(_keys(before)) == 4

    with Server(comfyui, base) as server:
        shown = _desk(server)
        assert (shown["status"], shown["progress"]) == ("interrupted", None)
        assert _keys(shown) == _keys(before) and shown["words"] == before["words"]
        made = {key for key, t in before["stills"].items() if t == 1}
        assert _keys(before)[1] in made <= set(shown["stills"])
        assert before["clips"].items() <= shown["clips"].items(), "autosave holds them"
        for name in shown["clips"].values():
            with urllib.request.urlopen(f"{server.url}/view?filename={name}&type=temp", timeout=30) as answer:
                assert answer.read(12)[4:8] == b"ftyp"
        plans = json.loads(server.post("/magi/plan", {"graph": _graph(), "workflow": "restart"}))["nodes"]
        told = next(plan for plan in plans if plan["node_id"] == "7")
        assert [chunk["key"] for chunk in told["chunks"]] == _keys(before), "known before anything ran"
        assert before["clips"].items() <= told["clips"].items()

        entry = server.wait_for(_queue(server), LIMIT)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        after = _desk(server)
        kinds = [chunk["kind"] for chunk in after["plan"]["chunks"]]
        assert kinds[:2] == ["kept", "remembered"] and kinds[-1] == "computed"
        assert _keys(after) == _keys(before) and set(_keys(after)) <= set(after["clips"])
