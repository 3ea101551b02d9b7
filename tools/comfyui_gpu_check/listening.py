"""What a page would hear of a prompt, with the moment it arrives."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple

import aiohttp

LIMIT = 20.0  # seconds to connect


class Heard(NamedTuple):
    """at: time.monotonic(). kind: of the message, "binary" for pictures of ComfyUI's own."""

    at: float
    kind: str
    data: dict[str, Any]


class Listener:
    """A websocket to a ComfyUI at `url`, in a thread of its own; a context manager. client: as prompts name it."""

    def __init__(self, url: str, client: str) -> None:
        self.heard: list[Heard] = []
        self._address = f"{url}/ws?clientId={client}"
        self._connected, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._listen()), daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        if not self._connected.wait(LIMIT):
            raise TimeoutError("the websocket was not opened")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(LIMIT)

    def first(self, kind: str, **data: Any) -> Heard | None:
        """The first message of a kind whose data has these values."""
        return next((it for it in list(self.heard) if it.kind == kind and data.items() <= it.data.items()), None)

    def ended(self, prompt: str) -> Heard | None:
        """That a prompt is through, however it went."""
        ends = (self.first(f"execution_{how}", prompt_id=prompt) for how in ("success", "error", "interrupted"))
        return next((end for end in ends if end is not None), None)

    def seconds_by_node(self, until: float) -> dict[str, float]:
        """How long every node took that was executed, the last one `until` then."""
        steps = [(it.at, it.data["node"]) for it in list(self.heard) if it.kind == "executing" and it.data.get("node")]
        ends = [*(at for at, _ in steps[1:]), until]
        return {node: round(end - at, 2) for (at, node), end in zip(steps, ends, strict=False)}

    async def _listen(self) -> None:
        self._ended = asyncio.Event()
        async with aiohttp.ClientSession() as session, session.ws_connect(self._address, max_msg_size=0) as socket:
            self._connected.set()
            reading = asyncio.create_task(self._read(socket))
            await self._ended.wait()
            reading.cancel()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            at = time.monotonic()
            if message.type == aiohttp.WSMsgType.TEXT:
                told = json.loads(message.data)
                self.heard.append(Heard(at, told["type"], told.get("data") or {}))
            elif message.type == aiohttp.WSMsgType.BINARY:
                self.heard.append(Heard(at, "binary", {}))
