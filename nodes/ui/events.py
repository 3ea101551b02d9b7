"""What the page that queued a prompt hears while it runs: events for js/magi/api.js, and text on nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from comfy_execution.utils import get_executing_context
from server import PromptServer


@dataclass(frozen=True)
class ClipMade:
    """A finished chunk as a short video.

    prompt_id, node_id: where; inside subgraphs the node's id is a path, "1:2:3". key: the chunk's `ChunkRecord.key`.
    index: the chunk's place in the video. run: a node can run more than once in a prompt. filename: in ComfyUI's folder
    of temporary files.
    """

    NAME: ClassVar[str] = "magi.clip"

    prompt_id: str
    node_id: str
    key: str
    index: int
    run: str
    filename: str


def running_prompt() -> str:
    """Id of the prompt that is being executed; "" outside of one."""
    context = get_executing_context()
    return "" if context is None else context.prompt_id


def send(event: ClipMade) -> None:
    """Tell the page that queued the running prompt; nobody, when a program did that wants no events."""
    server = PromptServer.instance
    if server.client_id is not None:  # to ComfyUI, None is everybody
        server.send_sync(event.NAME, asdict(event), server.client_id)


def show_text(node_id: str, text: str) -> None:
    """Show `text` on a node of that page."""
    server = PromptServer.instance
    if server.client_id is not None:
        server.send_progress_text(text, node_id, server.client_id)
