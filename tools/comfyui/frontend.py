"""ComfyUI's real frontend in a headless browser, and what a user does in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, WebSocket

from tools.comfyui.server import PACK

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TEXT_EVENT = 3  # binary message: event type, length of the node's id, id, text (integers of 4 bytes, big endian)
BOOT_LIMIT = 90_000  # milliseconds
OURS = re.compile(rf"/{PACK}/|\bMagi[A-Z]|\bmagi[._]|MAGI_")  # our files, nodes, extensions and events, types
FIRST_VISIT_DONE = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.0.0"}


class Frontend:
    """One open page.

    `messages`: what the server sent over the websocket as JSON; `texts`: lines shown on nodes; `errors`: what nobody
    caught, and those lines of the console that come from our files or name our nodes. ComfyUI writes errors of its own.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.messages: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.errors: list[str] = []
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self.errors.append(error.stack or str(error)))
        page.on("console", self._read)
        page.goto(url, timeout=BOOT_LIMIT)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Until the graph is up and our nodes are known."""
        ready = "!!(window.app?.graph && window.LiteGraph?.registered_node_types?.MagiChunkSampler)"
        self.page.wait_for_function(ready, timeout=BOOT_LIMIT)
        self.page.wait_for_selector("canvas")

    def begin_anew(self) -> None:
        """An empty workflow."""
        self.page.keyboard.press("Escape")
        self.page.mouse.move(0, 0)
        self.page.evaluate(
            """async () => {
                app.extensionManager.toast.removeAll?.()
                await app.extensionManager.command.execute('Comfy.NewBlankWorkflow')
            }"""
        )

    def forget(self) -> None:
        """Nothing was heard or said so far."""
        for heard in (self.messages, self.texts, self.errors):
            heard.clear()

    def drop(self, file: Path) -> None:
        """Drag a workflow file onto the canvas."""
        self.page.evaluate("app.graph.clear()")
        self.page.evaluate(
            """([text, name]) => {
                const data = new DataTransfer()
                data.items.add(new File([text], name, {type: 'application/json'}))
                const at = document.querySelector('#graph-canvas') ?? document.querySelector('canvas')
                at.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}))
            }""",
            [file.read_text(), file.name],
        )
        expected = len(json.loads(file.read_text())["nodes"])
        self.page.wait_for_function("n => app.graph.nodes.length === n", arg=expected, timeout=20_000)

    def queue(self) -> str:
        """Queue the open workflow as the Run button does; returns the prompt's id."""
        with self.page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST") as answer:
            self.page.evaluate("app.queuePrompt(0, 1)")
        body = answer.value.json()
        assert answer.value.ok, f"ComfyUI refused the workflow: {json.dumps(body, indent=1)}"
        return body["prompt_id"]

    def serialised(self) -> dict[str, Any]:
        return self.page.evaluate("app.graph.serialize()")

    @property
    def client(self) -> str:
        """The id under which the server knows this page."""
        return self.page.evaluate("app.api?.clientId ?? sessionStorage.getItem('clientId')")

    def received(self, kind: str) -> list[dict[str, Any]]:
        """Data of the messages of one type so far. Lets the page's events come in first."""
        self.page.wait_for_timeout(100)
        return [message["data"] for message in self.messages if message.get("type") == kind]

    def _read(self, message: ConsoleMessage) -> None:
        line = f"{message.text} ({message.location['url']})"
        if message.type in ("error", "warning") and OURS.search(line):
            self.errors.append(line)

    def _listen(self, socket: WebSocket) -> None:
        def keep(payload: str | bytes) -> None:
            if isinstance(payload, str):
                self.messages.append(json.loads(payload))
            elif int.from_bytes(payload[:4], "big") == TEXT_EVENT:
                self.texts.append(payload[8 + int.from_bytes(payload[4:8], "big") :].decode())

        socket.on("framereceived", keep)
