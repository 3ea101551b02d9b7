"""One ComfyUI server through a day: models stay, go, come back and share the machine; core VAE nodes join in."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from tools.comfyui.server import Server

LIMIT = 300.0  # seconds for one prompt; a few on two free cores
SMALL = {"width": 64, "height": 64, "steps": 4}


@pytest.fixture(scope="module")
def node(server: Server) -> Any:
    """`node("MagiExtend", chunks=2)`: a node of an API graph, with its widgets' defaults."""

    def make(kind: str, **inputs: Any) -> dict[str, Any]:
        asked = server.get(f"/object_info/{kind}")[kind]["input"]["required"]
        defaults = {name: spec[1]["default"] for name, spec in asked.items() if len(spec) > 1 and "default" in spec[1]}
        return {"class_type": kind, "inputs": defaults | inputs}

    return make


@pytest.fixture(scope="module")
def graph(node: Any) -> Any:
    """`graph(seed, dtype)`: one chunk from text, decoded."""

    def make(seed: int, dtype: str = "auto") -> dict[str, Any]:
        sampler = node("MagiChunkSampler", model=["model", 0], conditioning=["prompt", 0], seed=seed, **SMALL)
        return {
            "model": node("MagiLoadModel", model="nano", dtype=dtype),
            "vae": node("MagiLoadVAE", model="nano"),
            "encoder": node("MagiLoadTextEncoder", model="nano"),
            "prompt": node("MagiTextEncode", text_encoder=["encoder", 0], prompt="a big red circle moves right"),
            "sampler": sampler,
            "decode": node("MagiVAEDecode", vae=["vae", 0], state=["sampler", 0]),
            "show": node("PreviewImage", images=["decode", 0]),
        }

    return make


def test_two_prompts_queued_with_two_models(server: Server, graph: Any) -> None:
    """Queued together: each runs with its own model, and what they share is loaded once."""
    first, second = server.submit(graph(101)), server.submit(graph(101, "bf16"))
    entries = [server.wait_for(prompt, LIMIT) for prompt in (first, second)]
    assert all(entry["status"]["status_str"] == "success" for entry in entries), server.log_tail()
    assert {"vae", "encoder", "prompt"} <= set(_cached(entries[1]))
    assert not {"model", "sampler"} & set(_cached(entries[1]))
    pictures = [[path.read_bytes() for path in server.saved(entry)] for entry in entries]
    assert len(pictures[0]) == len(pictures[1]) == 24
    assert pictures[0] != pictures[1]


def test_two_models_in_one_graph(server: Server, graph: Any, node: Any) -> None:
    """A second model extends what the first one began."""
    both = graph(102)
    both["other"] = node("MagiLoadModel", model="nano", dtype="bf16")
    both["extend"] = node("MagiExtend", model=["other", 0], state=["sampler", 0], conditioning=["prompt", 0])
    both["decode"]["inputs"]["state"] = ["extend", 0]
    assert len(server.saved(_run(server, both))) == 48


def test_models_come_back_after_they_were_unloaded(server: Server, graph: Any) -> None:
    before = _pictures(server, graph(103))
    server.post("/free", {"unload_models": True, "free_memory": True})
    again = graph(103)
    entry = _run(server, again)
    assert [path.read_bytes() for path in server.saved(entry)] == before


def test_models_stay_between_runs(server: Server, graph: Any) -> None:
    _run(server, graph(104))
    loads = server.log.read_text(errors="replace").count("Requested to load DiT")
    entry = _run(server, graph(105))
    assert {"model", "vae", "encoder"} <= set(_cached(entry))
    assert server.log.read_text(errors="replace").count("Requested to load DiT") == loads


def test_core_vae_nodes_begin_and_show_a_video(server: Server, graph: Any, node: Any) -> None:
    """An image through core's VAE Encode begins a video; core's VAE Decode shows the same latents."""
    core = graph(106)
    core["image"] = node("LoadImage", image="magi_example_image.png")
    core["scaled"] = node("ImageScale", image=["image", 0], upscale_method="area", width=64, height=64, crop="center")
    core["encode"] = node("VAEEncode", pixels=["scaled", 0], vae=["vae", 0])
    core["sampler"]["inputs"]["prefix"] = ["encode", 0]
    core["core_decode"] = node("VAEDecode", samples=["encode", 0], vae=["vae", 0])
    core["core_show"] = node("PreviewImage", images=["core_decode", 0])
    entry = _run(server, core)
    assert len(entry["outputs"]["core_show"]["images"]) == 4  # one latent frame
    assert len(entry["outputs"]["show"]["images"]) == 24


def test_core_nodes_from_a_video_to_a_video(server: Server, graph: Any, node: Any) -> None:
    """Load Video, Get Video Components, core's VAE Encode and a LATENT node in between; Create Video and Save Video."""
    core = graph(107)
    core["video"] = node("LoadVideo", file="magi_example_video.mp4")
    core["parts"] = node("GetVideoComponents", video=["video", 0])
    core["scaled"] = node("ImageScale", image=["parts", 0], upscale_method="area", width=64, height=64, crop="center")
    core["encode"] = node("VAEEncode", pixels=["scaled", 0], vae=["vae", 0])
    core["cut"] = node("LatentCut", samples=["encode", 0], dim="t", index=0, amount=6)
    core["sampler"]["inputs"]["prefix"] = ["cut", 0]
    core["create"] = node("CreateVideo", images=["decode", 0], fps=["parts", 2])
    core["save"] = node("SaveVideo", video=["create", 0], filename_prefix="video/core", format="auto", codec="auto")
    entry = _run(server, core)
    (video,) = (path for path in server.saved(entry) if path.suffix == ".mp4")
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 24
    assert len(frames) == 48 and frames[0].shape == (64, 64, 3)
    with av.open(str(server.base / "input" / "magi_example_video.mp4")) as container:
        given = next(container.decode(video=0)).to_image().resize((64, 64))
    assert np.abs(frames[0].astype(float) - np.asarray(given)).mean() < 12, "it begins with the video that was given"


def _run(server: Server, graph: dict[str, Any]) -> dict[str, Any]:
    entry = server.wait_for(server.submit(graph), LIMIT)
    assert entry["status"]["status_str"] == "success", server.log_tail()
    return entry


def _pictures(server: Server, graph: dict[str, Any]) -> list[bytes]:
    return [path.read_bytes() for path in server.saved(_run(server, graph))]


def _cached(entry: dict[str, Any]) -> list[str]:
    return next(data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached")
