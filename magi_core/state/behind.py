"""Work on finished things beside the making of the next: in a thread of its own, on a GPU on a stream of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Work = Callable[[Item, Callable[[], bool]], None]
"""`(item, stopped) -> None`: asks `stopped` now and then, and returns early where it says so."""


def one_behind(items: Iterable[Item], work: Work[Item], device: torch.device) -> Iterator[Item]:
    """Each of `items`, when `work` has been done on it; meanwhile the next one is made, in this thread.

    No more than two are there at a time: one at work, one that is being made or waits. `work` is done on one item after
    the other, in their order; on a GPU on a stream that begins with what is queued on `device` by now, and what it
    queues there must be done when it returns.
    What `work` raises is raised here in place of its item, as soon as the one being made is there, and no work comes
    after it. What the making of an item raises is raised when the items before it are through. Whoever stops asking for
    items, an interrupt among them, ends the work, which is waited for.
    """
    stream = _stream(device)
    stopping = threading.Event()

    def begun(item: Item) -> None:
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            work(item, stopping.is_set)

    with ThreadPoolExecutor(1, thread_name_prefix="MAGI frames") as worker:
        try:
            yield from _in_step(iter(items), lambda item: worker.submit(begun, item))
        finally:
            stopping.set()


def _in_step(items: Iterator[Item], begin: Callable[[Item], Future[None]]) -> Iterator[Item]:
    at_work: tuple[Item, Future[None]] | None = None
    while True:
        item, failure = _next(items)
        if at_work is not None:
            try:
                at_work[1].result()
            except Exception as error:
                raise error from failure
            yield at_work[0]
        if failure is not None:
            raise failure
        if item is None:
            return
        at_work = item[0], begin(item[0])


def _next(items: Iterator[Item]) -> tuple[tuple[Item] | None, Exception | None]:
    """The next item, None at the end; or what its making raises. An interrupt of the process is not held up."""
    try:
        return (next(items),), None
    except StopIteration:
        return None, None
    except Exception as error:
        return None, error


def _stream(device: torch.device) -> Any:
    """A stream beside the current one of a GPU; None where there is none."""
    if device.type != "cuda":
        return None
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    return stream
