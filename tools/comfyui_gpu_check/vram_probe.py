"""A ComfyUI pack for `tools.comfyui_gpu_check`: what the server holds of the GPU, and how far its nodes are, over HTTP.

GET /magi_check?tidy=1 collects garbage and empties PyTorch's cache first; peaks are those since the last ?reset=1.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
import time
from typing import Any

import comfy.memory_management
import comfy.model_management as management
import comfy_aimdo.control
import torch
from aiohttp import web
from comfy_execution.progress import get_progress_state
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, type] = {}
INTERVAL = 0.02  # seconds between two looks
KINDS = ("torch", "reserved", "comfyui", "driver", "device")


def used() -> dict[str, int]:
    """MiB: PyTorch's tensors, and what it holds for them; the process's by ComfyUI's count and by the driver's (0 where
    it gives none); everybody's."""
    if not torch.cuda.is_available():
        return dict.fromkeys(KINDS, 0)
    free, total = torch.cuda.mem_get_info()
    sizes = [torch.cuda.memory_allocated(), torch.cuda.memory_reserved()]
    sizes += [comfy_aimdo.control.get_total_vram_usage(), _by_driver(), total - free]
    return {kind: size >> 20 for kind, size in zip(KINDS, sizes, strict=True)}


def _by_driver() -> int:
    try:
        nvml, device = _driver()
        running = nvml.nvmlDeviceGetComputeRunningProcesses(device)
        return next((process.usedGpuMemory or 0 for process in running if process.pid == os.getpid()), 0)
    except Exception:  # no such package, or a driver that does not tell
        return 0


@functools.cache
def _driver() -> tuple[Any, Any]:
    import pynvml

    pynvml.nvmlInit()
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")


class _Watch(threading.Thread):
    """The most of each kind since `reset`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.reset()

    def reset(self) -> None:
        self.most = dict.fromkeys(KINDS, 0)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def peaks(self) -> dict[str, int]:
        if not torch.cuda.is_available():
            return self.most
        known = {"torch": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
        return self.most | {kind: max(self.most[kind], most >> 20) for kind, most in known.items()}

    def run(self) -> None:
        while torch.cuda.is_available():
            time.sleep(INTERVAL)
            self.most = {kind: max(self.most[kind], size) for kind, size in used().items()}


WATCH = _Watch()
WATCH.start()


@PromptServer.instance.routes.get("/magi_check")
async def answer(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(_found, "tidy" in request.query, "reset" in request.query))


def _found(tidy: bool, reset: bool) -> dict[str, Any]:
    if tidy:
        gc.collect()
        management.soft_empty_cache()
    if reset:
        WATCH.reset()
    return {
        "now": used(),
        "peak": WATCH.peaks(),
        "dynamic": comfy.memory_management.aimdo_enabled,
        "device": str(management.get_torch_device()),
        "steps": {node: state["value"] for node, state in get_progress_state().nodes.items()},
    }
