"""The page that queued the running prompt: what it is told, and nobody else."""

from __future__ import annotations

from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer


def running_prompt() -> str:
    """Id of the prompt that is being executed; "" outside of one."""
    context = get_executing_context()
    return "" if context is None else context.prompt_id


def send(event: str, payload: dict[str, Any]) -> None:
    """Tell the page that queued the running prompt; nobody, when a program did that wants no events."""
    server = PromptServer.instance
    if server.client_id is not None:  # to ComfyUI, None is everybody
        server.send_sync(event, payload, server.client_id)


def show_text(node_id: str, text: str) -> None:
    """Show `text` on a node of that page."""
    server = PromptServer.instance
    if server.client_id is not None:
        server.send_progress_text(text, node_id, server.client_id)
