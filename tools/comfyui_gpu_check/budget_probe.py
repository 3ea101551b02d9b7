"""A ComfyUI pack for `tools.comfyui_gpu_check`: the server believes that its GPU is as small as its budget, tells what
took how long, and runs out of memory when it is told to.

MAGI_CHECK_BUDGET: bytes that the whole process may take; 0 or unset: all there are. Another process holds the others
(`ballast`), since what ComfyUI's dynamic VRAM takes is no tensor of PyTorch's.
GET /magi_check/marks: spans since the last time, [what, begun, ended, GPU's seconds], by time.monotonic().
GET /magi_check/squeeze?forward=N: at the N-th forward from now, no memory is left but some MiB.
GET /magi_check/release: it is there again; answers how many MiB were held.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, type] = {}
BUDGET = int(os.environ.get("MAGI_CHECK_BUDGET", "0"))
LEFT = 96 << 20  # bytes that stay free in a squeeze
BLOCK = 32 << 20
TIMED = {  # what: end of a module's name, class or "", function
    "forward": ("magi_core.dit.model", "DiT", "forward"),
    "text": ("nodes.host.text_encoder", "PlacedT5", "__call__"),
    "clip": ("nodes.desk.showing", "", "make_clip"),
    "room": ("nodes.host.patcher", "", "make_room"),
}


class _Properties:
    """A device's, with another size."""

    def __init__(self, own: Any) -> None:
        self._own, self.total_memory = own, BUDGET

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def _believe() -> dict[str, Any]:
    """Have everybody in this process see a GPU of `BUDGET` bytes, and PyTorch keep to it less what is no tensor."""
    seen, properties = torch.cuda.mem_get_info, torch.cuda.get_device_properties
    free, total = seen()
    context = max(0, BUDGET - free - torch.cuda.memory_reserved())
    torch.cuda.mem_get_info = lambda device=None: (min(seen(device)[0], BUDGET), BUDGET)
    torch.cuda.get_device_properties = lambda device=None: _Properties(properties(device))
    told = {"card": total >> 20, "budget": BUDGET >> 20, "context": context >> 20, "free": free >> 20}
    told["allocator"] = torch.cuda.get_allocator_backend()
    try:
        torch.cuda.set_per_process_memory_fraction((BUDGET - context) / total)
    except RuntimeError as error:  # an allocator without it: the other process bounds it all the same
        told["not bounded by PyTorch"] = str(error)
    return told


BELIEVED = _believe() if BUDGET and torch.cuda.is_available() else {}


class _Marks:
    def __init__(self) -> None:
        self.spans: list[tuple[str, float, float, Any]] = []
        self.squeeze_at, self.held, self.wrapped = 0, list[torch.Tensor](), set[str]()

    def wrap(self) -> None:
        """Time what is to be timed, once its modules are there."""
        for what, (module, owner, name) in TIMED.items():
            place = next((found for path, found in list(sys.modules.items()) if path.endswith(module)), None)
            if place is not None and what not in self.wrapped:
                target = getattr(place, owner) if owner else place
                setattr(target, name, self._timed(what, getattr(target, name)))
                self.wrapped.add(what)

    def _timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            if what == "forward" and self.squeeze_at:
                self.squeeze_at -= 1
                if not self.squeeze_at:
                    self.squeeze()
            begun, first = time.monotonic(), _event()
            made = function(*given, **named)
            self.spans.append((what, begun, time.monotonic(), (first, _event())))
            return made

        return timed

    def squeeze(self) -> None:
        if not torch.cuda.is_available():
            raise torch.OutOfMemoryError("a rehearsal")
        try:
            while True:
                self.held.append(torch.empty(BLOCK, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            del self.held[-(LEFT // BLOCK) :]
        torch.cuda.empty_cache()

    def taken(self) -> list[list[Any]]:
        spans, self.spans = self.spans, []
        return [[what, begun, ended, _seconds(*events)] for what, begun, ended, events in spans]


def _event() -> Any:
    if not torch.cuda.is_available():
        return time.monotonic()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(first: Any, last: Any) -> float:
    if isinstance(first, float):
        return last - first
    last.synchronize()
    return first.elapsed_time(last) / 1000


MARKS = _Marks()
ROUTES = PromptServer.instance.routes


@ROUTES.get("/magi_check/believed")
async def believed(_: web.Request) -> web.Response:
    return web.json_response(BELIEVED)


@ROUTES.get("/magi_check/marks")
async def marks(_: web.Request) -> web.Response:
    MARKS.wrap()
    return web.json_response(await asyncio.to_thread(MARKS.taken))


@ROUTES.get("/magi_check/squeeze")
async def squeeze(request: web.Request) -> web.Response:
    MARKS.wrap()
    MARKS.squeeze_at = int(request.query["forward"])
    return web.json_response({})


@ROUTES.get("/magi_check/release")
async def release(_: web.Request) -> web.Response:
    held, MARKS.squeeze_at = len(MARKS.held) * BLOCK >> 20, 0
    MARKS.held.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return web.json_response({"held": held})
