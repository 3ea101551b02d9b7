"""Seconds left: right once the first chunk is through, whatever a forward costs beside its chunks."""

from __future__ import annotations

from typing import Any

import pytest

from magi_core.sampling.cost import Cost, StageCost

RAMP = [1, 2, 3, *[4] * 20, 3, 2, 1]


@pytest.mark.parametrize(("forward", "chunk", "clip"), [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.4, 0.3, 2.0)])
def test_time_left_is_right_within_a_fifth_after_the_first_chunk(part, forward, chunk, clip) -> None:
    stages = [StageCost(4, Cost(4 * flying, 1)) for flying in RAMP]
    seconds, now = [], 0.0
    for stage in stages:
        for step in range(stage.forwards):
            work = stage.cost.steps / stage.forwards + (stage.cost.pages if step == 0 else 0)
            seconds.append(forward + chunk * work)
    pace: Any = part("desk.pace").Pace(stages, lambda: now)
    clips, total = 0, sum(seconds) + clip * 23
    for step, each in enumerate(seconds, start=1):
        now += each + (20 if step == 1 else 0)  # weights are moved before the first
        pace.stepped(step)
        if step % 4 == 0 and step >= 16 and clips < 23:
            with pace.making_clip():
                now += clip
            clips += 1
        if clips:
            left = total - sum(seconds[:step]) - clip * clips
            assert pace.seconds_left(step, 23 - clips) == pytest.approx(left, rel=0.2, abs=1e-6)


def test_nothing_is_said_before_there_is_something_to_go_by(part) -> None:
    pace: Any = part("desk.pace").Pace([StageCost(4, Cost(4, 0))], iter(range(100)).__next__)
    pace.stepped(1)
    assert pace.seconds_left(1, 0) is None


def test_stages_without_forwards_take_no_time(part) -> None:
    now = 0.0
    pace: Any = part("desk.pace").Pace([StageCost(0, Cost()), StageCost(9, Cost(9)), StageCost(0, Cost())], lambda: now)
    for step in range(1, 7):
        now += 2
        pace.stepped(step)
    assert pace.seconds_left(6, 0) == pytest.approx(6)
