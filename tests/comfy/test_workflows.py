"""Every shipped workflow, dragged onto the real frontend and queued from there, makes the video it promises."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from tests.comfy.comfyui import REPOSITORY, Server

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
FRAMES = {  # chunks of 24 frames; a prefix of p latent frames adds its own, rounded up to whole chunks
    "text_to_video": 6 * 24,
    "image_to_video": 2 * 24,
    "video_continuation": (32 // 24 + 2) * 24,
}
LIMIT = 900.0  # seconds for one workflow; about one minute on two free cores


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_shipped_workflow_runs_from_the_frontend(file: Path, frontend, server: Server) -> None:
    frontend.drop(file)
    assert {node["type"] for node in frontend.serialised()["nodes"]} == _types(file)

    prompt = frontend.queue()
    entry = server.wait_for(prompt, LIMIT)

    assert entry["status"]["status_str"] == "success", _failure(entry, server)
    frames, size = _video(server, entry)
    assert (frames, size) == (FRAMES[file.stem], (128, 128))
    assert not frontend.errors
    _check_progress(frontend, file)
    assert "chunk 1 of" in " ".join(frontend.texts), "no progress text on the nodes"


def _check_progress(frontend, file: Path) -> None:
    """Every sampler and extend counted up over the websocket, to its end."""
    samplers = {
        str(node["id"])
        for node in json.loads(file.read_text())["nodes"]
        if node["type"] in ("MagiChunkSampler", "MagiExtend")
    }
    seen: dict[str, list[tuple[float, float]]] = {}
    for data in frontend.received("progress_state"):
        for node, state in data["nodes"].items():
            if node in samplers and state["state"] == "running":
                seen.setdefault(node, []).append((state["value"], state["max"]))
    assert set(seen) == samplers
    for steps in seen.values():
        values = [value for value, _ in steps]
        assert values == sorted(values)
        assert len(set(values)) > 3
        assert steps[-1][0] == steps[-1][1] > 1


def _types(file: Path) -> set[str]:
    return {node["type"] for node in json.loads(file.read_text())["nodes"]}


def _video(server: Server, entry: dict) -> tuple[int, tuple[int, int]]:
    """Frame count and size of the one video the prompt saved."""
    (path,) = server.saved(entry)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 24
        return sum(1 for _ in container.decode(stream)), (stream.width, stream.height)


def _failure(entry: dict, server: Server) -> str:
    return json.dumps(entry["status"]["messages"], indent=1, default=str) + "\n" + server.log_tail()
