"""What the frontend is told: by name and payload as js/magi/api.js reads it, and on the page that queued the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

API = (Path(__file__).parents[2] / "js" / "magi" / "api.js").read_text(encoding="utf-8")


class Listener:
    """A `PromptServer` whose messages are kept: what, to whom."""

    def __init__(self, client_id: str | None) -> None:
        self.client_id = client_id
        self.sent: list[tuple[Any, str | None]] = []

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self.sent.append(((event, data), sid))

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.sent.append(((text, node_id), sid))


@pytest.fixture
def listen(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Listener]:
    """`listen("page")`: as if that client had queued the running prompt."""
    import server

    def start(client_id: str | None) -> Listener:
        listener = Listener(client_id)
        monkeypatch.setattr(server.PromptServer, "instance", listener)
        return listener

    return start


@pytest.fixture
def events(part: Callable[[str], Any]) -> Any:
    return part("ui.events")


def test_only_the_page_that_queued_the_prompt_is_told(events, listen) -> None:
    page = listen("page")
    clip = events.ClipMade(events.running_prompt(), "1:2", "abc", 3, "run", "magi.mp4")
    events.send(clip)
    events.show_text("1:2", "chunk 4")
    payload = {"prompt_id": "prompt", "node_id": "1:2", "key": "abc", "index": 3, "run": "run", "filename": "magi.mp4"}
    assert page.sent == [(("magi.clip", payload), "page"), (("chunk 4", "1:2"), "page")]


def test_nobody_is_told_of_a_prompt_that_no_page_queued(events, listen) -> None:
    everybody = listen(None)
    events.send(events.ClipMade("prompt", "1", "abc", 0, "run", "magi.mp4"))
    events.show_text("1", "chunk 1")
    assert not everybody.sent


def test_the_frontend_listens_for_the_same_names_and_fields(events) -> None:
    assert re.findall(r'"(magi\.\w+)"', API) == [events.ClipMade.NAME]
    described = re.search(r"`ClipMade` .*?\*/", API, re.DOTALL)[0]
    assert re.findall(r"@property \{\w+\} (\w+)", described) == [field.name for field in fields(events.ClipMade)]
