"""Graphs in ComfyUI's API format, for tests that queue them over HTTP."""

from __future__ import annotations

import copy
from typing import Any

from tools.comfyui.server import Server

NODES = [
    "MagiLoadModel",
    "MagiLoadVAE",
    "MagiLoadTextEncoder",
    "MagiTextEncode",
    "MagiVAEEncode",
    "MagiChunkSampler",
    "MagiExtend",
    "MagiSecondPass",
    "MagiRetouch",
    "MagiVAEDecode",
    "MagiLoRA",
    "MagiModelSettings",
    "MagiStoryboard",
    "MagiStoryboardPrompt",
    "MagiRewind",
    "MagiDecodeToFile",
    "MagiSaveState",
    "MagiLoadState",
    "MagiStateInfo",
]
LIMIT = 600.0  # seconds for one prompt; far more than two free cores need
RUN = {"leave_in_flight": False, "seconds": 0.0, "autosave": ""}
SAMPLER = {
    "width": 128,
    "height": 128,
    "chunks": 1,
    "steps": 4,
    "text_guidance": -1.0,
    "previous_guidance": -1.0,
    "text_guidance_late": -1.0,
    "previous_guidance_late": -1.0,
    "nearly_clean_blend": -1.0,
    "window": 4,
    "kv_ranges": "5, 4, 3, 2",
    "clean_kv_range": 1,
    "clean_t": 0.9999,
    "shortcut": "8,16,16",
    "duration_tokens": True,
    "avoid_captions": False,
    "avoid_logos": False,
    "avoid_cuts": False,
    "avoid_borders": False,
    "total_chunks": 0,
    "fps": 24.0,
}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": copy.deepcopy(inputs)}


def run(server: Server, graph: dict[str, Any]) -> dict[str, Any]:
    return server.wait_for(server.submit(graph), LIMIT)


def cached(entry: dict[str, Any]) -> list[str]:
    return next(data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached")
