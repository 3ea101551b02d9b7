"""The routes under /magi/, as docs/desk.md lists them. They load no model, and hold no engine.

What they do is done by threads of their own, one for what is quick and one for what may take long: the server's loop
goes on, however many ask.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from server import PromptServer

from magi_core.errors import MagiError

from . import plans, storyboards
from .asked import MAX_BODY, MAX_ID, body_of, name_of
from .desk import MEMORY
from .sounds import SOUNDS

Answer = tuple[int, bytes]
"""Status and JSON."""

POSTS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "/magi/storyboard/read": storyboards.read,
    "/magi/storyboard/write": storyboards.write,
    "/magi/plan": plans.plan,
}
MOST_WAITING = 16
HEAVY = 64 << 10  # bytes of a body
SUPERSEDED = {"error": "superseded"}


class Line:
    """Answers requests one after the other, beside the server's loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="magi desk")
        self._waiting = 0
        self._newest: dict[str, Future[Answer]] = {}
        self._dropped: set[Future[Answer]] = set()

    async def answer(self, work: Callable[[], dict[str, Any] | None], asker: str = "") -> Answer:
        """asker: whoever asks under the same name waits no longer for what it asked before."""
        older = self._newest.get(asker)
        if older is not None and older.cancel():  # it has not begun
            self._dropped.add(older)
            self._waiting -= 1
        if self._waiting >= MOST_WAITING:
            return _said(503, {"error": "too many requests at once: ask again"})
        self._waiting += 1
        future = self._thread.submit(answered, work)
        if asker:
            self._newest[asker] = future
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future not in self._dropped:
                raise
            return _said(409, SUPERSEDED)
        finally:
            self._waiting -= future not in self._dropped
            self._dropped.discard(future)
            if self._newest.get(asker) is future:
                del self._newest[asker]


def answered(work: Callable[[], dict[str, Any] | None]) -> Answer:
    """What `work` gives, or what is wrong in words; None: there is no such thing."""
    try:
        answer = work()
        return _said(200, answer) if answer is not None else _said(404, {"error": "this is not there"})
    except MagiError as error:
        return _said(400, {"error": str(error)})


def posted(path: str, content: bytes) -> dict[str, Any]:
    """What the route `path` answers to a body."""
    return POSTS[path](body_of(content))


def remembered(query: Mapping[str, Any]) -> dict[str, Any]:
    """What `GET /magi/desk` answers."""
    return MEMORY.desk(name_of(query, "workflow"))


def sound(query: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `GET /magi/sound` answers."""
    return SOUNDS.shown(name_of(query, "key"))


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    routes = getattr(getattr(PromptServer, "instance", None), "routes", None)
    if routes is None:
        return
    from aiohttp import web  # ComfyUI's server brings it

    quick, heavy = Line(), Line()

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
            asker = request.query.get("asker", "")
            if len(asker) > MAX_ID:
                return response(_said(400, {"error": f"an asker has a name of at most {MAX_ID} characters"}))
            line = quick if len(content) <= HEAVY else heavy
            return response(await line.answer(lambda: posted(path, content), f"{path} {asker}" if asker else ""))

        return handler

    async def on_desk(request: web.Request) -> web.Response:
        return response(await quick.answer(lambda: remembered(request.query)))

    async def on_sound(request: web.Request) -> web.Response:
        return response(await heavy.answer(lambda: sound(request.query)))

    async def on_still(request: web.Request) -> web.Response:
        jpeg = await asyncio.get_running_loop().run_in_executor(None, MEMORY.still, request.query.get("key", ""))
        if jpeg is None:
            return web.Response(status=404)
        return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    routes.get("/magi/desk")(on_desk)
    routes.get("/magi/still")(on_still)
    routes.get("/magi/sound")(on_sound)
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
