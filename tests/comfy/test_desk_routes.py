"""The desk's routes in a real ComfyUI: what a run would do, what it did, what is there after a reload."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.comfy.graphs import LIMIT, RUN, SAMPLER, node
from tools.comfyui.server import Server

LINES = [f"{n}: a big {colour} circle moves right" for n, colour in enumerate(["red", "blue", "green", "red"])]


def _graph(*lines: str, seed: int = 31) -> dict[str, Any]:
    nano = {"model": "nano", "dtype": "auto"}
    sampler = SAMPLER | RUN | {"seed": seed}
    return {
        "1": node("MagiLoadModel", **nano, variant="auto", attention="auto"),
        "2": node("MagiLoadVAE", **nano),
        "3": node("MagiLoadTextEncoder", **nano),
        "5:3": node("MagiStoryboard", text_encoder=["3", 0], text="\n".join(lines), fps=24),
        "5:4": node("MagiChunkSampler", **sampler, model=["1", 0], conditioning=["5:3", 0], vae=["2", 0]),
        "6": node("MagiStateInfo", state=["5:4", 0], vae=["2", 0]),
    }


def _queue(server: Server, graph: dict[str, Any], workflow: str, client: str = "tests") -> str:
    extra = {"extra_pnginfo": {"workflow": {"id": workflow, "nodes": []}}}
    body = {"prompt": graph, "client_id": client, "extra_data": extra}
    return json.loads(server.post("/prompt", body))["prompt_id"]


def _run(server: Server, graph: dict[str, Any], workflow: str) -> None:
    entry = server.wait_for(_queue(server, graph, workflow), LIMIT)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]


def _plan(server: Server, graph: dict[str, Any]) -> dict[str, Any]:
    (plan,) = json.loads(server.post("/magi/plan", {"graph": graph, "workflow": "w"}))["nodes"]
    return plan


def _kinds(plan: dict[str, Any]) -> list[str]:
    return [chunk["kind"] for chunk in plan["chunks"]]


def _until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def test_one_edited_prompt_is_what_is_made_again_at_the_price_that_was_told(server: Server) -> None:
    before, edited = _graph(*LINES), _graph(*LINES[:2], "2: it jumps", LINES[3])
    first = _plan(server, before)
    assert _kinds(first) == ["computed"] * 4
    _run(server, before, "edits")
    assert server.get("/magi/desk?workflow=edits")["nodes"]["5:4"]["plan"]["cost"] == first["cost"] > 0
    assert _kinds(_plan(server, before)) == ["remembered"] * 4
    plan = _plan(server, edited)
    assert (plan["node_id"], plan["exact"]) == ("5:4", True)
    assert _kinds(plan) == ["remembered"] * 2 + ["computed"] * 2
    assert plan["seconds"] > 0, "such a chunk was timed"

    _run(server, edited, "edits")
    done = server.get("/magi/desk?workflow=edits")["nodes"]["5:4"]
    assert (done["plan"]["chunks"], done["plan"]["cost"]) == (plan["chunks"], plan["cost"])
    assert done["status"] == "done" and {chunk["key"] for chunk in plan["chunks"]} <= set(done["clips"])
    back = _plan(server, before)
    assert (_kinds(back), back["cost"]) == (["remembered"] * 4, 0)
    assert {chunk["key"] for chunk in back["chunks"]} <= set(done["clips"]), "the old clips are there at once"


def test_a_reload_in_mid_run_restores_the_desk(server: Server) -> None:
    prompt = _queue(server, _graph("0-59: a big red circle moves right", seed=32), "reload")

    def in_mid_run() -> Any:
        node = server.get("/magi/desk?workflow=reload")["nodes"].get("5:4")
        return node if node and node["clips"] and node["progress"] else None

    found = _until(in_mid_run)
    assert found["status"] == "running" and len(found["plan"]["chunks"]) == 60
    flying = {chunk["key"] for chunk in found["progress"]["flight"]}
    assert flying & set(found["stills"]) and found["progress"]["seconds_left"] > 0
    assert found["words"][found["plan"]["chunks"][0]["key"]]["prompt"] == "a big red circle moves right"
    for key in found["stills"]:
        with urllib.request.urlopen(f"{server.url}/magi/still?key={key}", timeout=30) as answer:
            assert answer.headers["Content-Type"] == "image/jpeg" and answer.read(3) == b"\xff\xd8\xff"
    (name, *_) = found["clips"].values()
    with urllib.request.urlopen(f"{server.url}/view?filename={name}&type=temp", timeout=30) as answer:
        assert answer.read(12)[4:8] == b"ftyp"
    assert server.get("/magi/desk?workflow=another") == {"nodes": {}}
    started = time.monotonic()
    _plan(server, _graph(*LINES))
    assert time.monotonic() - started < 10, "a run does not keep a plan waiting"

    server.post("/interrupt", {})
    server.wait_for(prompt, 30)
    assert server.get("/magi/desk?workflow=reload")["nodes"]["5:4"]["status"] == "interrupted"


LISTEN = """url => new Promise(done => {
    window.heard = { one: [], two: [] }
    let open = 0
    for (const name of ['one', 'two']) {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?clientId=${name}`)
        socket.onopen = () => ++open === 2 && done()
        socket.onmessage = ({ data }) => typeof data === 'string' && heard[name].push(JSON.parse(data))
    }
})"""


def test_two_clients_hear_of_their_own_prompts_alone(server: Server, browser) -> None:
    """With equal node ids; each hears all of a run, and the desks of their workflows are kept apart."""
    page = browser.new_page()
    page.goto(f"{server.url}/system_stats")
    page.evaluate(LISTEN, server.url)
    prompts = {
        name: _queue(server, _graph(f"0: a big {colour} circle", seed=33), f"of {name}", client=name)
        for name, colour in (("one", "red"), ("two", "blue"))
    }
    plans = {}
    for name, prompt in prompts.items():
        server.wait_for(prompt, LIMIT)
        page.wait_for_function("name => heard[name].some(each => each.type === 'magi.ended')", arg=name)
        heard = [each for each in page.evaluate("name => heard[name]", name) if each["type"].startswith("magi.")]
        assert {each["data"]["prompt_id"] for each in heard} == {prompt}
        kinds = [each["type"] for each in heard]
        assert kinds[0] == "magi.plan" and kinds[-1] == "magi.ended" and kinds.count("magi.clip") == 1
        plans[name] = heard[0]["data"]
    page.close()
    for name, plan in plans.items():
        shown = server.get(f"/magi/desk?workflow=of%20{name}")["nodes"]["5:4"]
        assert shown["plan"] == plan and list(shown["clips"]) == [plan["chunks"][0]["key"]]
    assert plans["one"]["chunks"] != plans["two"]["chunks"]


REQUESTS = [
    ("POST", "/magi/plan", b"{", {}, 400),
    ("POST", "/magi/plan", b'{"graph": []}', {}, 400),
    ("POST", "/magi/storyboard/read", b'{"text": "' + b"a" * (3 << 20), {}, 400),
    ("POST", "/magi/storyboard/read", b'{"text": "0: a"}', {"Origin": "http://elsewhere.example"}, 403),
    ("POST", "/magi/plan", b'{"graph": {}}', {"Sec-Fetch-Site": "cross-site"}, 403),
    ("POST", "/magi/plan", b"{}", {"Content-Encoding": "gzip"}, 400),
    ("GET", "/magi/plan", None, {}, 404),
    ("PUT", "/magi/storyboard/read", b"{}", {}, 405),
    ("GET", "/magi/still?key=../../../etc/passwd", None, {}, 404),
    ("GET", "/magi/still?key=%00", None, {}, 404),
    ("GET", "/magi/still", None, {}, 404),
    ("GET", f"/magi/desk?workflow={'a' * 5000}", None, {}, 400),
    ("GET", "/magi/sound?key=../../../etc/passwd", None, {}, 404),
    ("GET", f"/magi/sound?key={'a' * 64}", None, {}, 404),
    ("GET", f"/magi/sound?key={'a' * 5000}", None, {}, 400),
    ("POST", f"/magi/plan?asker={'a' * 5000}", b"{}", {}, 400),
    ("GET", "/magi/desk?workflow=../../x&workflow=%ff%fe", None, {}, 200),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REQUESTS)
def test_hostile_requests_are_answered_and_change_nothing(server: Server, method, path, body, headers, status) -> None:
    request = urllib.request.Request(server.url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == status
    assert server.running


LONG = "".join(f"{n} [cut]: a big red circle moves right for the {n}th time\n" for n in range(4000))
HEAVY = {
    "/magi/storyboard/read": {"text": LONG, "fps": 24},
    "/magi/storyboard/write": {
        "lines": [{"first": n, "last": n, "prompt": f"a circle {n}", "transition": "cut"} for n in range(4000)],
        "form": "text",
        "fps": 24,
    },
    "/magi/plan": {"graph": _graph(LONG), "workflow": "flood"},
}
QUICK = {
    "/magi/storyboard/read": {"text": "0: a circle", "fps": 24},
    "/magi/storyboard/write": {"lines": [{"first": 0, "last": 0, "prompt": "a"}], "form": "text", "fps": 24},
    "/magi/plan": {"graph": _graph("0: a circle", seed=34), "workflow": "quick"},
}


def test_a_flood_of_large_requests_leaves_quick_ones_answered_quickly(server: Server) -> None:
    """Of ComfyUI as well. Those that are too many are told so at once."""
    stop = threading.Event()

    def flood(path: str) -> list[int]:
        found = []
        while not stop.is_set():
            found.append(_status(server, path, BODIES[path]))
        return found

    with ThreadPoolExecutor(24) as many:
        floods = [many.submit(flood, path) for path in HEAVY for _ in range(8)]
        try:
            _until(lambda: any(_status(server, path, BODIES[path]) == 503 for path in HEAVY))
            seconds = [_seconds(server, path, body) for _ in range(3) for path, body in {**QUICK, **GETS}.items()]
        finally:
            stop.set()
    statuses = {status for each in floods for status in each.result()}
    print(f"{max(seconds):.2f} s at most")
    assert statuses == {200, 503}
    assert max(seconds) < 5


BODIES = {path: json.dumps(body).encode() for path, body in HEAVY.items()}
GETS: dict[str, Any] = {"/magi/desk?workflow=quick": None, "/queue": None, f"/magi/still?key={'a' * 64}": None}


def _seconds(server: Server, path: str, body: Any) -> float:
    started = time.monotonic()
    content = None if body is None else json.dumps(body).encode()
    assert _status(server, path, content) in (200, 404)
    return time.monotonic() - started


def _status(server: Server, path: str, content: bytes | None) -> int:
    request = urllib.request.Request(server.url + path, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
