"""One ComfyUI server on the GPU: the shipped workflows, and a model whose weights show when they stay in memory.

What every check found is told as soon as it is known (`tell`). Memory is that of `vram_probe`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magi_core.video import read_image
from scripts.workflow import to_api
from tools.comfyui.find import REPOSITORY
from tools.comfyui.inside.telling import run_checks
from tools.comfyui.results import RESULTS, frames_and_size, videos_and_pictures
from tools.comfyui.server import Server, base_directory
from tools.comfyui_gpu_check.wide_model import DONE, write_lora

LIMIT = 75.0  # seconds for one prompt
NEAR = 64  # MiB that may stay after unloading
WIDE = {"width": 384, "height": 384, "steps": 8}
SMALL = {"width": 64, "height": 64, "steps": 4}


def check_server(comfyui: Path, base: Path, flags: Sequence[str], workflows: bool) -> int:
    """Start a server in `base`, where models/magi is a folder or a link to one, and check it."""
    if not (base / "custom_nodes").exists():
        base_directory(base)
        shutil.copy(Path(__file__).parent / "vram_probe.py", base / "custom_nodes")
    with Server(comfyui, base, flags) as server:
        checks = Checks(server, small="--cpu" in flags)
        try:
            return run_checks(checks.all(workflows), hopeless=lambda: not server.running)
        finally:
            print(server.log_tail(400), flush=True)


class Checks:
    """Named checks of one server, in the order in which they make sense."""

    def __init__(self, server: Server, small: bool) -> None:
        self.server = server
        self.size = SMALL if small else WIDE
        self.lora_size = "rehearsal" if small else "gigabytes"
        self.nodes = server.get("/object_info")

    def all(self, workflows: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
        yield "start", self.start
        if workflows:
            for file in sorted((REPOSITORY / "workflows").glob("*.json")):
                yield f"workflow {file.stem}", lambda file=file: self.workflow(file)
            yield "unloaded after the workflows", self.unloaded
        yield "a run", lambda: self.run(seed=1)
        yield "unloaded after a run", self.unloaded
        yield "the same again", lambda: self.run(seed=1)
        if workflows:
            yield "another seed", lambda: self.run(seed=2)
            yield "an interrupt", self.interrupt
            yield "unloaded after an interrupt", self.unloaded
            yield "after the interrupt", lambda: self.run(seed=1)
            yield "LoRA", lambda: self.run(seed=1, lora=True)
            yield "without the LoRA", lambda: self.run(seed=1, fresh=True)
            yield "two models in one graph", self.two_models
            yield "unloaded at the end", self.unloaded

    def start(self) -> dict[str, Any]:
        """Memory of an idle server that has used its GPU once (libraries, work space)."""
        cold = self._memory(tidy=True)
        self._finished(self._graph("nano", **SMALL))
        self._free()
        return {"cold": cold["now"], "idle": self._idle(), "dynamic": cold["dynamic"], "device": cold["device"]}

    def workflow(self, file: Path) -> dict[str, Any]:
        found, entry = self._measured(to_api(json.loads(file.read_text(encoding="utf-8"))))
        videos, pictures = videos_and_pictures(self.server, entry)
        wanted = RESULTS[file.stem]
        (video,) = videos
        made = frames_and_size(video)
        assert made == (wanted.frames, wanted.size), made
        assert len(pictures) == wanted.pictures
        return found | {"frames": made[0]}

    def run(self, seed: int, lora: bool = False, fresh: bool = False) -> dict[str, Any]:
        """Two chunks of the big model, decoded; how far they are from those of the first run with this seed, if any."""
        if fresh:
            self._free()
        graph = self._wide(seed)
        if lora:
            write_lora(self.server.base / "models" / "loras" / "wide.safetensors", self.lora_size)
            graph["lora"] = self._node("MagiLoRA", model=["model", 0], lora="wide.safetensors", strength=1.0)
            graph["sampler"]["inputs"]["model"] = ["lora", 0]
        found, entry = self._measured(graph)
        frames = np.stack([read_image(path).numpy() for path in self.server.saved(entry)])
        kept = self.server.base / f"seed{seed}.npy"
        if kept.exists():
            found["levels from the first"] = float(np.abs(frames.astype(float) - np.load(kept)).mean())
        else:
            np.save(kept, frames)
        return found | {"frames": len(frames), "deviation": float(frames.std())}

    def interrupt(self) -> dict[str, Any]:
        graph = self._wide(seed=3)
        graph["sampler"]["inputs"]["chunks"] = 200
        before = self._memory(tidy=True, reset=True)["now"]
        prompt = self.server.submit(graph)
        deadline = time.monotonic() + LIMIT
        while (steps := self._memory()["steps"].get("sampler", 0)) < 20:
            assert time.monotonic() < deadline and not self.server.get(f"/history/{prompt}"), self.server.log_tail(5)
            time.sleep(0.1)
        during = self._memory()
        self.server.post("/interrupt", {})
        asked = time.monotonic()
        entry = self.server.wait_for(prompt, 20)
        seconds = time.monotonic() - asked
        assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"]), entry["status"]
        after = self._memory(tidy=True)["now"]
        now = {"before": before, "during": during["now"], "peak": during["peak"], "after": after}
        return now | {"seconds": round(seconds, 2), "steps": steps}

    def unloaded(self) -> dict[str, Any]:
        """After "Unload models" and "Free model and node cache": what is held beyond the idle server's."""
        loaded = self._memory(tidy=True)["now"]
        self._free()
        now, idle = self._memory(tidy=True)["now"], self._idle()
        more = {kind: now[kind] - idle[kind] for kind in ("torch", "comfyui")}
        return {"loaded": loaded, "unloaded": now, "more than idle": more, "near": max(more.values()) <= NEAR}

    def two_models(self) -> dict[str, Any]:
        """One model begins, the other goes on, the first ends."""
        graph = self._wide(seed=4)
        graph["other"] = self._node("MagiLoadModel", model=graph["model"]["inputs"]["model"], dtype="fp32")
        for name, model, before in (("second", "other", "sampler"), ("third", "model", "second")):
            graph[name] = self._node(
                "MagiExtend", model=[model, 0], state=[before, 0], conditioning=["prompt", 0], chunks=1
            )
        graph["decode"]["inputs"]["state"] = ["third", 0]
        found, entry = self._measured(graph)
        return found | {"frames": len(self.server.saved(entry))}

    def _measured(self, graph: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        before, started = self._memory(tidy=True, reset=True)["now"], time.monotonic()
        entry = self._finished(graph)
        seconds, peak = round(time.monotonic() - started, 1), self._memory()["peak"]
        return {"seconds": seconds, "before": before, "peak": peak, "after": self._memory(tidy=True)["now"]}, entry

    def _finished(self, graph: dict[str, Any]) -> dict[str, Any]:
        entry = self.server.wait_for(self.server.submit(graph), LIMIT)
        errors = errors_of(entry)
        assert not errors, f"{errors[0]['node_type']}: {errors[0]['exception_message']}"
        return entry

    def _free(self) -> None:
        self.server.post("/free", {"unload_models": True, "free_memory": True})
        time.sleep(1.5)  # done by the thread that also runs prompts

    def _memory(self, tidy: bool = False, reset: bool = False) -> dict[str, Any]:
        asked = "&".join(name for name, wanted in (("tidy=1", tidy), ("reset=1", reset)) if wanted)
        return self.server.get(f"/magi_check?{asked}")

    def _idle(self) -> dict[str, int]:
        """Memory of this server before it had any model, or as of now, when that is not known yet."""
        kept = Path(self.server.log).with_name("idle.json")
        if not kept.exists():
            kept.write_text(json.dumps(self._memory(tidy=True)["now"]), encoding="utf-8")
        return json.loads(kept.read_text(encoding="utf-8"))

    def _wide(self, seed: int) -> dict[str, Any]:
        """Two chunks of the model of some gigabytes."""
        while not list((self.server.base / "models" / "magi").glob(f"*/{DONE}")):
            time.sleep(0.5)
        return self._graph("wide", seed=seed, chunks=2, duration_tokens=False, **self.size)

    def _graph(self, name: str, **sampling: Any) -> dict[str, Any]:
        listed = {
            kind: self.server.get(f"/object_info/{kind}")[kind]["input"]["required"]["model"][1]["options"]
            for kind in ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder")
        }
        loaders = {kind: next(item for item in items if item.startswith(name)) for kind, items in listed.items()}
        prompt = {"text_encoder": ["encoder", 0], "prompt": "a big red circle moves right"}
        return {
            "model": self._node("MagiLoadModel", model=loaders["MagiLoadModel"]),
            "vae": self._node("MagiLoadVAE", model=loaders["MagiLoadVAE"]),
            "encoder": self._node("MagiLoadTextEncoder", model=loaders["MagiLoadTextEncoder"]),
            "prompt": self._node("MagiTextEncode", **prompt, high_quality=name == "nano"),
            "sampler": self._node("MagiChunkSampler", model=["model", 0], conditioning=["prompt", 0], **sampling),
            "decode": self._node("MagiVAEDecode", vae=["vae", 0], state=["sampler", 0]),
            "show": self._node("PreviewImage", images=["decode", 0]),
        }

    def _node(self, kind: str, **inputs: Any) -> dict[str, Any]:
        return with_defaults(self.nodes, kind, **inputs)


def with_defaults(nodes: dict[str, Any], kind: str, **inputs: Any) -> dict[str, Any]:
    """A node with its widgets' defaults. nodes: what the server tells of them."""
    asked = nodes[kind]["input"]["required"]
    defaults = {name: spec[1]["default"] for name, spec in asked.items() if len(spec) > 1 and "default" in spec[1]}
    return {"class_type": kind, "inputs": defaults | inputs}


def errors_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What a prompt failed of, by its history."""
    return [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
