"""How long a run will take: by what its forwards have taken so far, or by what such forwards took before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from magi_core.sampling.cost import StageCost

FADING = 0.98  # weight of a forward against the next one
FEWEST = 3  # forwards from which on there is an estimate


@dataclass(frozen=True)
class Speed:
    """Seconds that a forward takes: of its own, and for every chunk-forward in it. clip: to make one clip."""

    forward: float
    chunk: float
    clip: float = 0.0

    def seconds(self, stages: Sequence[StageCost]) -> float:
        """Of a whole run, its clips aside."""
        forwards = sum(stage.forwards for stage in stages)
        return self.forward * forwards + self.chunk * sum(stage.cost.total for stage in stages)


class Pace:
    """Measures the forwards of one run. A straight line through (chunk-forwards in a forward, its seconds).

    stages: of the run. The first forward counts nothing: weights are moved and kernels chosen in it.
    """

    def __init__(self, stages: Sequence[StageCost], clock: Callable[[], float] = time.monotonic) -> None:
        self._work = [work for stage in stages for work in _forwards(stage)]
        self._done = [0.0, *accumulate(self._work)]
        self._clock = clock
        self.began: float | None = None
        self._mark = 0.0
        self._sums = [0.0] * 5  # weight, work, work squared, seconds, work times seconds
        self._measured = 0
        self._pauses = 0.0
        self._clips = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the first forward was through."""
        return 0.0 if self.began is None else self._clock() - self.began

    @property
    def in_clips(self) -> float:
        """Seconds spent on clips."""
        return self._pauses

    def stepped(self, step: int) -> None:
        """Forward number `step`, from 1, is through."""
        now = self._clock()
        if self.began is None:
            self.began = now
        elif step <= len(self._work):
            work, seconds = self._work[step - 1], now - self._mark
            self._sums = [FADING * s for s in self._sums]
            for place, more in enumerate((1.0, work, work * work, seconds, work * seconds)):
                self._sums[place] += more
            self._measured += 1
        self._mark = now

    @contextmanager
    def making_clip(self) -> Iterator[None]:
        """Time in here is a clip's, not a forward's."""
        start = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - start
            self._mark += seconds
            self._pauses += seconds
            self._clips += 1

    @property
    def speed(self) -> Speed | None:
        """None until enough was measured."""
        if self._measured < FEWEST:
            return None
        weight, work, squares, seconds, products = self._sums
        clip = self._pauses / self._clips if self._clips else 0.0
        spread = weight * squares - work * work
        if spread < 0.01 * work * work:  # all alike
            return Speed(0.0, seconds / work, clip)
        chunk = (weight * products - work * seconds) / spread
        forward = (seconds - chunk * work) / weight
        if chunk < 0:
            return Speed(seconds / weight, 0.0, clip)
        return Speed(forward, chunk, clip) if forward > 0 else Speed(0.0, seconds / work, clip)

    def seconds_left(self, step: int, clips: int) -> float | None:
        """After forward `step`, with `clips` still to make."""
        speed = self.speed
        if speed is None:
            return None
        forwards, work = len(self._work) - step, self._done[-1] - self._done[min(step, len(self._work))]
        return max(0.0, speed.forward * forwards + speed.chunk * work + speed.clip * clips)


def _forwards(stage: StageCost) -> list[float]:
    """Chunk-forwards of each forward of a stage; pages are made before the first. A second pass has stages without."""
    if not stage.forwards:
        return []
    each = [stage.cost.steps / stage.forwards] * stage.forwards
    each[0] += stage.cost.pages
    return each
