"""The routes under /magi/: what they answer, whatever comes in. The server around: tests/comfy/test_desk_routes.py."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

READ, WRITE = "/magi/storyboard/read", "/magi/storyboard/write"


@pytest.fixture
def ask(part: Callable[[str], Any]) -> Callable[..., tuple[int, Any]]:
    """`ask(path, body)`: status and answer; a body that is not bytes goes as JSON."""
    routes = part("desk.routes")

    def asked(path: str, body: Any) -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = routes.answered(lambda: routes.posted(path, content))
        return status, json.loads(answer)

    return asked


def test_a_storyboard_is_read_and_written_again(ask) -> None:
    text = "# ball\n0: red\n2 [cut]: blue"
    status, told = ask(READ, {"text": text, "fps": 24})
    assert status == 200
    assert told == {
        "lines": [
            {"first": 0, "last": 0, "prompt": "red", "source": "# ball\n0: red\n"},
            {"first": 2, "last": 2, "prompt": "blue", "transition": "cut", "source": "2 [cut]: blue"},
        ],
        "chunks": 3,
        "form": "text",
        "notes": ["no line names chunk 1: chunk 0 goes on"],
    }
    assert ask(WRITE, {"lines": told["lines"], "form": "text", "fps": 24}) == (200, {"text": text})


def test_faults_of_a_storyboard_are_an_answer(ask) -> None:
    status, told = ask(READ, {"text": "0: red\n0: blue", "fps": 24})
    assert (status, told) == (
        200,
        {"errors": [{"line": 2, "message": "chunk 0 already has a prompt (line 1); one is possible"}]},
    )


LINE = {"first": 0, "last": 0, "prompt": "a", "source": ""}
HOSTILE: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"text=0",
    "not UTF-8": b'{"text": "\xff"}',
    "no object": b"[]",
    "null": b"null",
    "deep": b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unclosed": b'{"text": "',
    "a long number": b'{"text": "0: a", "fps": ' + b"9" * 5000 + b"}",
    "not a number": b'{"text": "0: a", "fps": NaN}',
    "too long": b'{"text": "' + b"a" * (2 << 20) + b'"}',
}
WRONG_READS: list[Any] = [
    {},
    {"text": None},
    {"text": 3},
    {"text": ["0: a"]},
    {"text": "0: a", "fps": "24"},
    {"text": "0: a", "fps": 0},
    {"text": "0: a", "fps": -1},
    {"text": "0: a", "fps": True},
    {"text": "0: a", "fps": 1e9},
]
WRONG_WRITES: list[Any] = [
    {},
    {"lines": {}, "form": "text"},
    {"lines": [LINE], "form": "yaml"},
    {"lines": [LINE], "form": ["text"]},
    {"lines": [3], "form": "text"},
    {"lines": [[]], "form": "text"},
    {"lines": [LINE | {"first": -1}], "form": "text"},
    {"lines": [LINE | {"first": 1.5}], "form": "text"},
    {"lines": [LINE | {"first": True, "last": True}], "form": "text"},
    {"lines": [LINE | {"last": 10**9}], "form": "text"},
    {"lines": [LINE | {"first": 2, "last": 1}], "form": "text"},
    {"lines": [LINE | {"source": 3}], "form": "text"},
    {"lines": [LINE | {"prompt": None}], "form": "text"},
    {"lines": [LINE | {"prompt": "a" * 100_001}], "form": "text"},
    {"lines": [LINE | {"transition": {}}], "form": "text"},
    {"lines": [LINE | {"transition": ["cut"]}], "form": "text"},
    {"lines": [LINE | {"reroll": "1"}], "form": "text"},
    {"lines": [LINE | {"reroll": 1e300}], "form": "text"},
    {"lines": [LINE | {"ranges": "111"}], "form": "text"},
    {"lines": [LINE | {"ranges": [[]]}], "form": "text"},
    {"lines": [LINE | {"ranges": []}], "form": "text"},
    {"lines": [LINE | {"tokens": [[1]]}], "form": "text"},
    {"lines": [LINE | {"tokens": {"HQ": 1}}], "form": "text"},
    {"lines": [LINE | {"echo": "yes"}], "form": "text"},
    {"lines": [LINE] * 10_001, "form": "text"},
    {"lines": [LINE, LINE], "form": "text"},
]


@pytest.mark.parametrize("path", [READ, WRITE])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_what_is_no_request_is_refused_in_words(ask, path, content) -> None:
    status, told = ask(path, content)
    assert status == 400 and list(told) == ["error"] and len(told["error"]) < 1000


@pytest.mark.parametrize(
    ("path", "body"), [*((READ, body) for body in WRONG_READS), *((WRITE, body) for body in WRONG_WRITES)]
)
def test_wrong_values_are_refused_in_words(ask, path, body) -> None:
    status, told = ask(path, body)
    assert status == 400 and list(told) == ["error"] and len(told["error"]) < 1000


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "\u202e0: a", "0: <script>alert(1)</script>", "0: ../../etc\x1b[2J"]
)
def test_any_text_comes_back_as_it_was(ask, text) -> None:
    status, told = ask(READ, {"text": text, "fps": 24})
    assert status == 200
    assert ask(WRITE, {"lines": told["lines"], "form": "text", "fps": 24}) == (200, {"text": text})


def test_a_text_of_a_million_letters_is_answered(ask) -> None:
    assert ask(READ, {"text": "\n".join(["ball"] * 190_000)})[1]["errors"]
    assert ask(READ, {"text": "a" * 999_999})[1]["errors"]


def test_requests_are_done_one_after_the_other_and_no_more_wait_than_a_few(part) -> None:
    routes = part("desk.routes")
    go_on, most = threading.Event(), routes.MOST_WAITING

    def work() -> dict[str, Any]:
        assert go_on.wait(20)
        return {"thread": threading.current_thread().name}

    async def ask_many() -> list[tuple[int, bytes]]:
        desk = routes.Line()
        asked = [asyncio.create_task(desk.answer(work)) for _ in range(most + 3)]
        refused = [task for task in asked[most:]]
        answers = await asyncio.gather(*refused)
        go_on.set()
        return answers + list(await asyncio.gather(*asked[:most]))

    answers = asyncio.run(ask_many())
    assert [status for status, _ in answers] == [503] * 3 + [200] * most
    assert len({answer for status, answer in answers if status == 200}) == 1


def test_of_what_one_asker_asks_only_the_newest_waits(part) -> None:
    """And others wait no longer for it; what has begun is answered."""
    routes = part("desk.routes")
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(number: int) -> dict[str, Any]:
        begun.set()
        assert go_on.wait(20)
        done.append(number)
        return {}

    async def ask_many() -> list[int]:
        line = routes.Line()
        first = asyncio.create_task(line.answer(lambda: work(0), "page 1"))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        again = [asyncio.create_task(line.answer(lambda n=n: work(n), "page 1")) for n in range(1, 100)]
        other = asyncio.create_task(line.answer(lambda: work(100), "page 2"))
        dropped = await asyncio.gather(*again[:-1])
        assert {json.loads(answer)["error"] for _, answer in dropped} == {"superseded"}
        go_on.set()
        return [status for status, _ in [*dropped, *await asyncio.gather(first, again[-1], other)]]

    assert asyncio.run(ask_many()) == [409] * 98 + [200] * 3
    assert done == [0, 99, 100]
