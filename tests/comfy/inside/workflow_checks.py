"""The shipped workflows through ComfyUI's own executor, with what they take of the GPU. For machines with one.

Saving the video, which needs a codec that such a machine may lack, is replaced by previews of its frames; a workflow
that starts from a video file is left out where it cannot be read. (`test_workflows` runs them whole, without a GPU.)
"""

from __future__ import annotations

import json
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import comfy.model_management as management
import execution
import pack
import server
import torch
from placement_checks import _mib

import nodes as core

sys.path.append(str(pack.REPOSITORY))
from scripts.workflow import to_api  # noqa: E402

INTERVAL = 0.02  # seconds between two looks at the GPU's memory


def check_workflows() -> dict[str, Any]:
    """Memory in MiB (PyTorch's own; all that is taken) before, at most, after each workflow, and after unloading."""
    _become_a_server()
    core.NODE_CLASS_MAPPINGS.update(pack.NODES)
    for node in pack.NODES.values():
        if "hidden" in vars(node):  # given by the executor here
            del node.hidden
        node.GET_SCHEMA()
        node.RELATIVE_PYTHON_MODULE = "custom_nodes.magi"
    management.unload_all_models()
    found: dict[str, Any] = {"before": _mib()}
    executor = execution.PromptExecutor(
        server.PromptServer.instance, cache_args={"lru": 0, "ram": 0, "ram_inactive": 0}
    )
    for file in sorted((pack.REPOSITORY / "workflows").glob("*.json")):
        graph = _graph(json.loads(file.read_text(encoding="utf-8")))
        missing = {node["class_type"] for node in graph.values()} - set(core.NODE_CLASS_MAPPINGS)
        found[file.stem] = {"left out for": sorted(missing)} if missing else _run(executor, graph, file.stem)
    management.unload_all_models()
    executor.reset()
    return found | {"after unloading": _mib()}


def _run(executor: Any, graph: dict[str, Any], name: str) -> dict[str, Any]:
    ends = [key for key, node in graph.items() if node["class_type"] == "PreviewImage"]
    before, started = _mib(), time.perf_counter()
    with _Watch() as watch:
        executor.execute(graph, name, {}, ends)
    outputs = executor.history_result["outputs"].values() if executor.success else ()
    return {
        "success": executor.success,
        "errors": [data.get("exception_message") for kind, data in executor.status_messages if "error" in kind],
        "frames": sum(len(output.get("images", ())) for output in outputs),
        "seconds": round(time.perf_counter() - started, 1),
        "before": before,
        "at most": watch.most,
        "after": _mib(),
    }


def _graph(workflow: dict[str, Any]) -> dict[str, Any]:
    """A saved workflow as the executor takes it, with previews of frames in place of saved videos."""
    graph = to_api(workflow)
    for key, node in list(graph.items()):
        if node["class_type"] == "SaveVideo":
            maker = node["inputs"]["video"][0]
            frames = graph[maker]["inputs"]["images"] if graph[maker]["class_type"] == "CreateVideo" else [maker, 0]
            graph[key] = {"class_type": "PreviewImage", "inputs": {"images": frames}}
        elif node["class_type"] == "MagiDecodeToFile":
            wires = {name: node["inputs"][name] for name in ("vae", "state")}
            graph[f"{key} decoded"] = {"class_type": "MagiVAEDecode", "inputs": wires}
            graph[key] = {"class_type": "PreviewImage", "inputs": {"images": [f"{key} decoded", 0]}}
    return graph


def _become_a_server() -> None:
    """Nobody listens to what nodes send."""
    quiet = dict.fromkeys(("send_sync", "send_progress_text", "queue_updated"), lambda *args, **options: None)
    server.PromptServer.instance = SimpleNamespace(client_id=None, last_node_id=None, sockets_metadata={}, **quiet)


class _Watch:
    """The most that is taken of the GPU while this is entered: PyTorch's own, and in all."""

    def __enter__(self) -> _Watch:
        self.most, self._stop = [0, 0], threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while torch.cuda.is_available() and not self._stop.wait(INTERVAL):
            free, total = torch.cuda.mem_get_info()
            now = [torch.cuda.memory_allocated() >> 20, (total - free) >> 20]
            self.most = [max(pair) for pair in zip(self.most, now, strict=True)]
