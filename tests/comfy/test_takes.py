"""Storyboards, takes and files in a real ComfyUI; what is wrong is said before anything runs."""

from __future__ import annotations

import json
from typing import Any

import av
import pytest

from magi_core.state import load_state
from tests.comfy.graphs import RUN, SAMPLER, cached, node, run
from tools.comfyui.server import Server
from tools.soak.recipe import Inputs


def _graph(text: str = "0: a big red circle moves right\n1: it turns blue", seed: int = 21) -> dict[str, Any]:
    """A storyboard, sampled, autosaved, saved and written to a file."""
    nano = {"model": "nano", "dtype": "auto"}
    sampler = SAMPLER | RUN | {"seed": seed, "autosave": "auto/kept", "seconds": 1.5}
    return {
        "model": node("MagiLoadModel", **nano, variant="auto", attention="auto"),
        "vae": node("MagiLoadVAE", **nano),
        "encoder": node("MagiLoadTextEncoder", **nano),
        "board": node("MagiStoryboard", text_encoder=["encoder", 0], text=text, fps=24.0),
        "sampler": node("MagiChunkSampler", **sampler, model=["model", 0], conditioning=["board", 0], vae=["vae", 0]),
        "save": node("MagiSaveState", state=["sampler", 0], filename_prefix="scene/ball", all_frontiers=False),
        "file": node("MagiDecodeToFile", vae=["vae", 0], state=["sampler", 0], filename_prefix="video/file"),
        "info": node("MagiStateInfo", state=["sampler", 0], vae=["vae", 0], model=["model", 0]),
    }


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, Any]:
    entry = run(server, _graph())
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    return entry


def test_a_storyboard_becomes_a_file_of_its_length(server: Server, made: dict[str, Any]) -> None:
    (file,) = made["outputs"]["file"]["images"]
    with av.open(str(server.base / file["type"] / file["subfolder"] / file["filename"])) as video:
        tags = video.metadata
        assert sum(1 for _ in video.decode(video=0)) == 36
    assert [chunk["prompt"] for chunk in json.loads(tags["storyboard"])["chunks"]] == [
        "a big red circle moves right",
        "it turns blue",
    ]
    assert json.loads(tags["prompt"])["file"]["class_type"] == "MagiDecodeToFile"


def test_takes_are_saved_and_kept_while_they_are_made(server: Server, made: dict[str, Any]) -> None:
    folder = server.base / "output" / "magi"
    saved, kept = (load_state(path) for path in (folder / "scene/ball_00001_.magi", folder / "auto/kept.magi"))
    assert [chunk.key for chunk in saved.chunks] == [chunk.key for chunk in kept.chunks] and len(saved.chunks) == 2


def test_info_shows_the_sheet_and_the_words(made: dict[str, Any]) -> None:
    shown = made["outputs"]["info"]
    assert shown["images"][0]["type"] == "temp"
    assert "1: it turns blue" in shown["text"][0]


def test_a_saved_take_goes_on_and_a_changed_file_is_read_again(server: Server, made: dict[str, Any]) -> None:
    graph = _graph()
    for name in ("sampler", "save", "file", "info"):
        del graph[name]
    graph["load"] = node("MagiLoadState", take="magi/auto/kept.magi [output]", model=["model", 0])
    graph["back"] = node("MagiRewind", state=["load", 0], chunks=1, model=["model", 0])
    graph["extend"] = node(
        "MagiExtend",
        **RUN,
        model=["model", 0],
        state=["back", 0],
        conditioning=["board", 0],
        chunks=1,
        handoff="clean",
    )
    graph["info"] = node("MagiStateInfo", state=["extend", 0])
    entry = run(server, graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    assert "this video: 3 chunks, 72 frames" in entry["outputs"]["info"]["text"][0]
    assert "load" in cached(run(server, graph | {"more": node("MagiStateInfo", state=["back", 0])}))

    path = server.base / "output" / "magi" / "auto" / "kept.magi"
    load_state(path).at(1).save(path)
    again = run(server, graph)
    assert "load" not in cached(again) and "model" in cached(again)


def test_a_take_and_a_video_are_made_again_for_the_price_that_was_told(server: Server, made: dict[str, Any]) -> None:
    inputs, link = Inputs(server.get("/object_info")), {"model": ["model", 0], "vae": ["vae", 0]}
    graph = {name: each for name, each in _graph().items() if name not in ("info", "save")}
    pass_ = link | {"steps": 4, "strength": 0.3}
    graph["again"] = inputs.node("MagiSecondPass", **pass_, state=["sampler", 0], text_encoder=["encoder", 0])
    graph["seen"] = inputs.node("MagiSecondPass", **pass_, video=["file", 0], width=32, height=32)
    graph["part"] = inputs.node(
        "MagiRetouch", **link, state=["again", 0], conditioning=["board", 0], text_encoder=["encoder", 0]
    )
    for name in ("again", "seen", "part"):
        graph[f"{name} saved"] = inputs.node("MagiSaveState", state=[name, 0], filename_prefix=name)
    entry = run(server, graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    folder = server.base / "output" / "magi"
    again, seen, part = (load_state(folder / f"{name}_00001_.magi") for name in ("again", "seen", "part"))
    assert again.frames == part.frames == seen.frames == 36 and [chunk.prompt for chunk in seen.chunks] == ["", ""]
    assert [chunk.prompt for chunk in again.chunks] == ["a big red circle moves right", "it turns blue"]
    assert (part.chunks[1].latent == again.chunks[1].latent).all()
    assert (part.chunks[0].latent != again.chunks[0].latent).any()
    plans = json.loads(server.post("/magi/plan", {"graph": graph, "workflow": "w"}))["nodes"]
    assert {plan["node_id"]: (plan["cost"], plan["exact"]) for plan in plans if plan["node_id"] != "sampler"} == {
        "again": (0, True),
        "seen": (0, True),
        "part": (0, True),
    }


@pytest.mark.parametrize("take", ["../secret.magi [input]", "/etc/passwd", "magi/none.magi [output]"])
def test_takes_that_are_not_listed_are_refused(server: Server, take: str) -> None:
    graph = {"load": node("MagiLoadState", take=take), "info": node("MagiStateInfo", state=["load", 0])}
    with pytest.raises(RuntimeError, match="not in"):
        server.submit(graph)


def test_a_wrong_line_is_refused_when_the_workflow_is_queued(server: Server) -> None:
    with pytest.raises(RuntimeError, match="line 2: chunk 0 already has a prompt"):
        server.submit(_graph("0: a big red circle\n0: a big blue circle"))


def test_a_new_last_line_remakes_only_what_it_says(server: Server, made: dict[str, Any]) -> None:
    """The first chunk comes from the model's memory: its latents are the same to the bit."""
    changed = _graph("0: a big red circle moves right\n1: it turns green")
    entry = run(server, changed)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    folder = server.base / "output" / "magi" / "scene"
    before, after = (load_state(folder / f"ball_0000{n}_.magi") for n in (1, 2))
    assert (before.chunks[0].latent == after.chunks[0].latent).all()
    assert (before.chunks[1].latent != after.chunks[1].latent).any()
