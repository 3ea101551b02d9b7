"""Work beside the making of the next item: its order, its bounds, and where its failures come out."""

from __future__ import annotations

import threading

import pytest
import torch

from magi_core.state.behind import one_behind

CPU = torch.device("cpu")
SOON = 20  # seconds that a test waits for another thread before it fails


def test_the_next_item_is_made_while_the_one_before_is_at_work() -> None:
    """Neither could go on if one waited for the other's end."""
    making, working = threading.Barrier(2), []

    def items():
        yield 0
        for item in (1, 2):
            making.wait(SOON)
            yield item

    def work(item, _stopped):
        working.append(item)
        if item < 2:
            making.wait(SOON)

    assert list(one_behind(items(), work, CPU)) == [0, 1, 2] and working == [0, 1, 2]


def test_an_item_comes_when_its_work_is_done_and_no_more_than_two_are_there() -> None:
    made, done = [], []

    def items():
        for item in range(6):
            assert len(made) - len(done) <= 1, "one is at work while this one is made"
            made.append(item)
            yield item

    for item in one_behind(items(), lambda item, _: done.append(item), CPU):
        assert item in done and len(made) <= item + 2


def test_work_is_not_done_in_the_thread_that_makes_the_items() -> None:
    threads: set[str] = set()
    list(one_behind([1, 2], lambda *_: threads.add(threading.current_thread().name), CPU))
    assert len(threads) == 1 and threading.current_thread().name not in threads


def test_what_work_raises_comes_in_place_of_its_item_and_ends_it_all() -> None:
    begun, got = [], []

    def work(item, _stopped):
        begun.append(item)
        if item == 1:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        for item in one_behind(range(5), work, CPU):
            got.append(item)
    assert got == [0] and begun == [0, 1]


def test_what_the_making_raises_comes_after_the_items_before_it() -> None:
    done, got = [], []

    def items():
        yield from (0, 1)
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        for item in one_behind(items(), lambda item, _: done.append(item), CPU):
            got.append(item)
    assert got == done == [0, 1]


def test_where_both_fail_the_work_is_told_and_the_making_is_its_cause() -> None:
    def items():
        yield 0
        raise ValueError("stopped")

    def work(_item, _stopped):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full") as told:
        list(one_behind(items(), work, CPU))
    assert isinstance(told.value.__cause__, ValueError)


@pytest.mark.parametrize("end", ["an interrupt", "nobody asks on"])
def test_whoever_stops_ends_the_work_and_waits_for_it(end) -> None:
    begun, ended = threading.Event(), threading.Event()

    def items():
        yield 0
        assert begun.wait(SOON)
        if end == "an interrupt":
            raise KeyboardInterrupt
        yield 1
        yield 2

    def work(item, stopped):
        begun.set()
        while item == 0 and end == "an interrupt" and not stopped():
            pass
        ended.set()

    results = one_behind(items(), work, CPU)
    if end == "an interrupt":
        with pytest.raises(KeyboardInterrupt):
            next(results)
    else:
        assert next(results) == 0
        results.close()
    assert ended.is_set() and not any(t.name.startswith("MAGI frames") for t in threading.enumerate())


def test_on_a_gpu_all_work_is_queued_on_one_stream_that_follows_what_was_there(monkeypatch) -> None:
    """With a stand-in for CUDA's streams: which is current is known for every thread by itself."""
    here, waited, seen = threading.local(), [], []

    class Stream:
        def __init__(self, device):
            self.device = device

        def wait_stream(self, other):
            waited.append(other)

    class current:  # noqa: N801  (stands for `torch.cuda.stream`)
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            here.stream = self.stream

        def __exit__(self, *_error):
            del here.stream

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: "the sampler's")
    for _ in one_behind([1, 2], lambda *_: seen.append(here.stream), torch.device("cuda:0")):
        assert not hasattr(here, "stream"), "what is sampled stays on its own"
    assert len(set(seen)) == 1 and isinstance(seen[0], Stream) and waited == ["the sampler's"]
