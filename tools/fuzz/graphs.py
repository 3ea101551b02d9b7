"""`python -m tools.fuzz graphs`: changed graphs queued in a real ComfyUI, as anyone can who reaches its port.

A finding is an answer other than "queued" or "refused", an error of one of our nodes that is not for its user, a node
that does not stop when it is interrupted, or a server that is gone.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from PIL import Image

from magi_core.story.storyboard import Storyboard
from tools.comfyui.find import find_comfyui
from tools.comfyui.server import Server, base_directory
from tools.fuzz.hunt import Hunt
from tools.fuzz.mutate import mutated_json
from tools.soak.recipe import Inputs

PATIENCE = 20.0  # seconds for one graph; then it is interrupted
STOPPING = 60.0  # seconds that an interrupt may take on a busy core
SIDE = 32
Graph = dict[str, Any]


def hunt_graphs(seconds: float, seed: int, most_findings: int = 5) -> Hunt:
    """Queue changed graphs for `seconds`. Raises FileNotFoundError where there is no ComfyUI."""
    comfyui = find_comfyui()
    if comfyui is None:
        raise FileNotFoundError("no ComfyUI: set COMFYUI_PATH")
    found, rng = Hunt("graphs"), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="magi-fuzz-") as folder:
        base = base_directory(Path(folder) / "base")
        Image.new("RGB", (SIDE, SIDE), "red").save(base / "input" / "given.png")
        with Server(comfyui, base) as server:
            inputs = Inputs(server.get("/object_info"))
            graphs = [_with_image(inputs), _with_takes(inputs)]
            end = time.monotonic() + seconds
            while time.monotonic() < end and len(found.findings) < most_findings and server.running:
                graph = _changed(rng.choice(graphs), rng)
                said = _queued(server, graph)
                found.inputs += 1
                if isinstance(said, str):
                    found.findings.append((said, json.dumps(graph).encode()))
                else:
                    found.accepted += said
    return found


def _with_image(inputs: Inputs) -> Graph:
    return _loaders(inputs) | {
        "image": inputs.node("LoadImage", image="given.png"),
        "prefix": inputs.node("MagiVAEEncode", vae=["vae", 0], image=["image", 0], width=SIDE, height=SIDE),
        "text": inputs.node("MagiTextEncode", text_encoder=["encoder", 0], prompt="a red circle"),
        "first": _sampler(inputs, conditioning=["text", 0], prefix=["prefix", 0], vae=["vae", 0]),
        "frames": inputs.node("MagiVAEDecode", vae=["vae", 0], state=["first", 0]),
        "info": inputs.node("MagiStateInfo", state=["first", 0], vae=["vae", 0]),
        "again": _again(inputs, images=["frames", 0], vae=["vae", 0], width=SIDE, height=SIDE),
        "kept": inputs.node("MagiSaveState", state=["again", 0], filename_prefix="fuzz"),
        "shown": inputs.node("PreviewImage", images=["frames", 0]),
    }


def _with_takes(inputs: Inputs) -> Graph:
    text = Storyboard.of(["a red circle", "it turns blue"]).to_text()
    return _loaders(inputs) | {
        "settings": inputs.node("MagiModelSettings", model=["model", 0]),
        "board": inputs.node("MagiStoryboard", text_encoder=["encoder", 0], text=text),
        "line": inputs.node("MagiStoryboardPrompt", storyboard=["board", 1]),
        "first": _sampler(inputs, conditioning=["board", 0], model=["settings", 0]),
        "back": inputs.node("MagiRewind", state=["first", 0]),
        "more": inputs.node("MagiExtend", model=["settings", 0], state=["back", 0], conditioning=["board", 0]),
        "again": _again(inputs, state=["more", 0], conditioning=["board", 0]),
        "retouched": inputs.node(
            "MagiRetouch",
            model=["model", 0],
            state=["again", 0],
            text_encoder=["encoder", 0],
            conditioning=["board", 0],
        ),
        "save": inputs.node("MagiSaveState", state=["retouched", 0], filename_prefix="fuzz"),
        "file": inputs.node("MagiDecodeToFile", vae=["vae", 0], state=["more", 0], filename_prefix="fuzz"),
    }


def _loaders(inputs: Inputs) -> Graph:
    return {
        "model": inputs.node("MagiLoadModel", model="nano-distill"),
        "encoder": inputs.node("MagiLoadTextEncoder", model="nano-distill"),
        "vae": inputs.node("MagiLoadVAE", model="nano-distill"),
    }


def _sampler(inputs: Inputs, **given: Any) -> dict[str, Any]:
    return inputs.node("MagiChunkSampler", **{"model": ["model", 0], "width": SIDE, "height": SIDE, "steps": 4} | given)


def _again(inputs: Inputs, **given: Any) -> dict[str, Any]:
    return inputs.node("MagiSecondPass", **{"model": ["model", 0], "steps": 4} | given)


def _changed(graph: Graph, rng: random.Random) -> Graph:
    """One or two inputs of our nodes are other values, or nodes are wired otherwise."""
    changed: Graph = json.loads(json.dumps(graph))
    for _ in range(rng.choice((1, 1, 2))):
        node = changed[rng.choice([name for name in changed if changed[name]["class_type"].startswith("Magi")])]
        if not isinstance(node["inputs"], dict) or not node["inputs"]:
            continue
        name = rng.choice(list(node["inputs"]))
        if rng.random() < 0.15:
            node["inputs"][name] = [rng.choice(list(changed)), rng.randrange(-1, 3)]
        else:
            node["inputs"][name] = mutated_json(node["inputs"][name], rng)
    return changed


def _queued(server: Server, graph: Graph) -> bool | str:
    """Whether a graph ran (True) or was refused (False), or what is wrong."""
    try:
        prompt = server.submit(graph, "fuzz")
    except RuntimeError as refused:
        return False if '"error"' in str(refused) else f"neither queued nor refused: {str(refused)[:2000]}"
    except OSError:
        return f"the server is gone: {traceback.format_exc(limit=-2)}\n{server.log_tail(20)}"
    try:
        entry = server.wait_for(prompt, PATIENCE)
    except TimeoutError:
        server.post("/interrupt", {})
        try:
            entry = server.wait_for(prompt, STOPPING)
        except TimeoutError:
            return f"not stopped by an interrupt in {STOPPING:.0f} s\n{server.log_tail(20)}"
    errors = [said for kind, said in entry["status"]["messages"] if kind == "execution_error"]
    for error in errors:
        if error["node_type"].startswith("Magi") and not error["exception_type"].endswith("MagiError"):
            return f"{error['node_type']}: {error['exception_type']}\n{''.join(error['traceback'])[-2000:]}"
    return not errors
