"""The routes under /magi/, as docs/desk.md lists them. They load no model, and hold no engine.

What they do is done by one thread of their own: the server's loop goes on, and however many ask, one core is used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from server import PromptServer

from magi_core.errors import MagiError

from . import plans, storyboards
from .asked import MAX_BODY, body_of, name_of
from .desk import MEMORY

Answer = tuple[int, bytes]
"""Status and JSON."""

POSTS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "/magi/storyboard/read": storyboards.read,
    "/magi/storyboard/write": storyboards.write,
    "/magi/plan": plans.plan,
}
MOST_WAITING = 16


class Desk:
    """Answers requests one after the other, beside the server's loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="magi desk")
        self._waiting = 0

    async def answer(self, work: Callable[[], dict[str, Any]]) -> Answer:
        if self._waiting >= MOST_WAITING:
            return _said(503, {"error": "too many requests at once: ask again"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, answered, work)
        finally:
            self._waiting -= 1


def answered(work: Callable[[], dict[str, Any]]) -> Answer:
    """What `work` gives, or what is wrong in words."""
    try:
        return _said(200, work())
    except MagiError as error:
        return _said(400, {"error": str(error)})


def posted(path: str, content: bytes) -> dict[str, Any]:
    """What the route `path` answers to a body."""
    return POSTS[path](body_of(content))


def remembered(query: Mapping[str, Any]) -> dict[str, Any]:
    """What `GET /magi/desk` answers."""
    return MEMORY.desk(name_of(query, "workflow"))


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    routes = getattr(getattr(PromptServer, "instance", None), "routes", None)
    if routes is None:
        return
    from aiohttp import web  # ComfyUI's server brings it

    desk = Desk()

    def response(answer: Answer) -> web.Response:
        return web.Response(status=answer[0], body=answer[1], content_type="application/json")

    def on_post(path: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            try:
                content = await _bounded(request.content)
            except web.RequestPayloadError:  # what came is not what its headers say, or broke off
                return response(_said(400, {"error": "this request cannot be read"}))
            if content is None:
                return response(_said(400, {"error": f"a request has at most {MAX_BODY:,} bytes"}))
            return response(await desk.answer(lambda: posted(path, content)))

        return handler

    async def on_desk(request: web.Request) -> web.Response:
        return response(await desk.answer(lambda: remembered(request.query)))

    async def on_still(request: web.Request) -> web.Response:
        jpeg = await asyncio.get_running_loop().run_in_executor(None, MEMORY.still, request.query.get("key", ""))
        if jpeg is None:
            return web.Response(status=404)
        return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    routes.get("/magi/desk")(on_desk)
    routes.get("/magi/still")(on_still)
    for path in POSTS:
        routes.post(path)(on_post(path))


async def _bounded(stream: Any) -> bytes | None:
    """All of a body, or None where it is longer than any request."""
    content = b""
    async for part in stream.iter_any():
        content += part
        if len(content) > MAX_BODY:
            return None
    return content


def _said(status: int, answer: dict[str, Any]) -> Answer:
    return status, json.dumps(answer, allow_nan=False).encode()
