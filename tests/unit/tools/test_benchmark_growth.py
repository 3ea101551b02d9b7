"""What is timed of a long run: the chunks that there was time for, and the work of two that are like all others."""

from __future__ import annotations

from itertools import repeat

import torch

from benchmarks import growth


def counted_run(chunks: int, seconds: float) -> tuple[int, list[tuple[int, int]]]:
    states = (torch.zeros(8) for _ in repeat(None))
    took, _, counted = growth.watched(states, chunks, on_gpu=False, seconds=seconds)
    return len(took), counted


def test_a_run_without_time_ends_when_there_is_enough_to_compare() -> None:
    timed, counted = counted_run(1000, 0.0)
    assert timed == 108 and timed >= growth.EARLY.stop - growth.LATE.start
    assert counted == [(1, 32), (1, 32)]


def test_a_run_with_time_has_all_its_chunks() -> None:
    timed, counted = counted_run(150, float("inf"))
    assert timed == 148 and len(counted) == 2
