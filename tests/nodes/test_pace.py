"""Seconds left: right once the first chunk is through, whatever a call costs beside its chunks, and from the first
forward on where a run like it was timed, however fast the machine is today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from magi_core.sampling.cost import ForwardCost, StageCost

WINDOW, STEPS = 4, 4  # stages of a chunk, forwards of a stage
LOOK = 0.3


def _stages(chunks: int) -> list[StageCost]:
    """Of a guided model: a text pass while the newest chunk is noisy, chunks by themselves at the end."""
    stages = []
    for number in range(chunks + WINDOW - 1):
        flying = min(number + 1, WINDOW, chunks + WINDOW - 1 - number)
        read = sum(min(number + 1, 5 - place) for place in range(flying))
        each = []
        for step in range(STEPS):
            text = flying if step < 2 else 0
            each.append(ForwardCost(2 + bool(text), flying + text + 1, read + (read if text else 0) + 1))
        stages.append(StageCost(tuple(each), pages=int(number >= WINDOW)))
    return stages


class _Run:
    """A run on a machine where all of it takes exactly so long, and the pace that is measured of it."""

    def __init__(self, part: Callable[[str], Any], chunks: int, speed: Any, known: Any) -> None:
        pace = part("desk.pace")
        self.chunks, self.speed, self.now, self.clips = chunks, speed, 0.0, 0
        self.seconds = [speed.seconds(work) for work in pace.works(_stages(chunks), LOOK)]
        self.pace = pace.Pace(_stages(chunks), LOOK, known, lambda: self.now)

    def off(self, factor: Callable[[int], float] = lambda step: 1.0) -> list[tuple[int, float | None]]:
        """After every forward: clips that were made, and how far off the time left was told; None where it was not."""
        told: list[tuple[int, float | None]] = []
        for step, seconds in enumerate(self.seconds, start=1):
            self.now += seconds * factor(step) + (20 if step == 1 else 0)  # weights are moved before the first
            self.pace.stepped(step)
            left = self.pace.seconds_left(step, self.chunks - self.clips)
            actual = sum(each * factor(n) for n, each in enumerate(self.seconds[step:], start=step + 1))
            actual += self.speed.clip * (self.chunks - self.clips)
            told.append((self.clips, None if left is None else (left - actual) / max(actual, 1e-3)))
            if step % STEPS == 0 and step >= WINDOW * STEPS:
                with self.pace.making_clip():
                    self.now += self.speed.clip
                self.clips += 1
        return told


@pytest.mark.parametrize(
    ("call", "chunk", "clip"), [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.4, 0.3, 2.0), (2.0, 0.1, 9.0)]
)
@pytest.mark.parametrize("chunks", [2, 6, 23])
def test_time_left_is_right_within_a_fifth_after_the_first_chunk(part, chunks, call, chunk, clip) -> None:
    run = _Run(part, chunks, part("desk.pace").Speed(call, chunk, clip), None)
    assert all(off is not None and abs(off) < 0.2 for clips, off in run.off() if clips)


@pytest.mark.parametrize("slower", [0.3, 1.0, 4.0])
def test_where_a_run_like_it_was_timed_it_is_right_from_the_second_forward_on(part, slower) -> None:
    known = part("desk.pace").Speed(0.4, 0.3, 2.0)
    told = _Run(part, 10, known.times(slower), known).off()
    assert told[0][1] is not None
    assert all(abs(off) < 0.01 for _, off in told[1:-1])


def test_a_machine_that_becomes_busy_is_noticed(part) -> None:
    """From the tenth chunk on all takes three times as long."""
    busy = 10 * STEPS
    told = _Run(part, 60, part("desk.pace").Speed(0.4, 0.3, 0.0), None).off(lambda step: 3.0 if step > busy else 1.0)
    assert told[busy - 2][1] < -0.5
    assert all(abs(off) < 0.2 for _, off in told[busy + 100 : -1])


def test_what_is_kept_of_a_run_tells_the_time_of_another(part) -> None:
    speed = part("desk.pace").Speed(0.4, 0.3, 2.0)
    run = _Run(part, 23, speed, None)
    run.off()
    kept = run.pace.kept
    assert (kept.call, kept.chunk, kept.clip) == pytest.approx((0.4, 0.3, 2.0), rel=1e-6)


def test_nothing_is_said_before_there_is_something_to_go_by(part) -> None:
    pace: Any = part("desk.pace").Pace(_stages(1), clock=iter(range(100)).__next__)
    pace.stepped(1)
    assert pace.seconds_left(1, 0) is None and pace.kept is None


def test_stages_without_forwards_take_no_time(part) -> None:
    """Of a second pass: chunks in the works that no free one looks at."""
    now, forwards = 0.0, StageCost((ForwardCost(1, 1, 1),) * 9)
    pace: Any = part("desk.pace").Pace([StageCost(()), forwards, StageCost(())], clock=lambda: now)
    for step in range(1, 7):
        now += 2
        pace.stepped(step)
    assert pace.seconds_left(6, 0) == pytest.approx(6)
