"""What the frontend is told: by name and payload as docs/desk.md says, and on the page that queued the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

CONTRACT = (Path(__file__).parents[2] / "docs" / "desk.md").read_text(encoding="utf-8")


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
    return part("desk.events")


def test_only_the_page_that_queued_the_prompt_is_told(events, listen, part) -> None:
    page = listen("page")
    run = events.NodeRun("1:2")
    run.tell(events.Clip(3, "abc", "magi.mp4"))
    part("host.page").show_text("1:2", "chunk 4")
    where = {"prompt_id": "prompt", "node_id": "1:2", "run": run.id}
    payload = where | {"index": 3, "key": "abc", "filename": "magi.mp4"}
    assert page.sent == [(("magi.clip", payload), "page"), (("chunk 4", "1:2"), "page")]


def test_nobody_is_told_of_a_prompt_that_no_page_queued(events, listen, part) -> None:
    everybody = listen(None)
    events.NodeRun("1").tell(events.Clip(0, "abc", "magi.mp4"))
    part("host.page").show_text("1", "chunk 1")
    assert not everybody.sent


def test_names_and_fields_are_those_of_the_contract(events) -> None:
    """Of every event, in the order of the table in docs/desk.md."""
    rows = re.findall(r"^\| `(magi\.\w+)` \|[^|]*\|(.*)\|$", CONTRACT, re.MULTILINE)
    assert [name for name, _ in rows] == [event.NAME for event in get_args(events.Event)]
    for event, (_, payload) in zip(get_args(events.Event), rows, strict=True):
        outside = re.sub(r"\[\{.*?\}\]", "", payload)
        assert {field.name for field in fields(event)} <= set(re.findall(r"`(\w+)`", outside)), event.NAME


def test_a_still_is_small(events) -> None:
    with pytest.raises(ValueError):
        events.Still.of(0, "abc", 1.0, bytes(40_000))
