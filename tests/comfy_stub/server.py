"""Stand-in for ComfyUI's `server`: what is sent to nodes is kept in `PromptServer.instance`, text and events."""

from collections.abc import Callable
from typing import Any


class PromptServer:
    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.on_prompt_handlers: list[Callable[[dict[str, Any]], dict[str, Any]]] = []
        self.client_id: str | None = "client"

    def add_on_prompt_handler(self, handler: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.on_prompt_handlers.append(handler)

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.texts.append((node_id, text))

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self.events.append((event, data))


PromptServer.instance = PromptServer()
