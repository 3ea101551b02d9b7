"""How long a run will take: what its forwards have taken so far, laid on those that its plan still has to make.

A forward takes `call` for each call of the model in it (launching kernels, weights that are moved) and `chunk` for each
chunk-forward and what that attends to. Which forwards are to come is known exactly; how fast the machine is now is told
by those behind; how the two compare, by an earlier run like it, or else by this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from magi_core.sampling.cost import StageCost

FADING = 0.98  # weight of a forward against the next one
FEWEST = 3  # forwards from which on there is an estimate, where no run like it was timed


@dataclass(frozen=True)
class Work:
    """Of one forward, or of several. size: in chunk-forwards; what these attend to counts beside them."""

    calls: float
    size: float

    def __add__(self, other: Work) -> Work:
        return Work(self.calls + other.calls, self.size + other.size)

    def __sub__(self, other: Work) -> Work:
        return Work(self.calls - other.calls, self.size - other.size)


@dataclass(frozen=True)
class Speed:
    """Seconds: of a call beside its chunks, of a chunk-forward, of making one clip."""

    call: float
    chunk: float
    clip: float = 0.0

    def seconds(self, work: Work) -> float:
        return self.call * work.calls + self.chunk * work.size

    def times(self, factor: float) -> Speed:
        return Speed(self.call * factor, self.chunk * factor, self.clip * factor)


def works(stages: Sequence[StageCost], look: float) -> list[Work]:
    """Of every forward of a run. look: what attending to one chunk takes, in chunk-forwards."""
    found = []
    for stage in stages:
        for number, forward in enumerate(stage.each):
            pages = 0 if number else stage.pages  # made before the first, one call each
            found.append(Work(forward.calls + pages, forward.chunks + pages + look * (forward.read + pages)))
    return found


class _Fit:
    """A line through what was measured: the newest counts most."""

    def __init__(self, fading: float) -> None:
        self._fading = fading
        self._sums = [0.0] * 5  # calls², calls times size, size², seconds times calls, seconds times size
        self.measured = 0

    def add(self, work: Work, seconds: float) -> None:
        calls, size = work.calls, work.size
        more = (calls * calls, calls * size, size * size, seconds * calls, seconds * size)
        self._sums = [self._fading * have + new for have, new in zip(self._sums, more, strict=True)]
        self.measured += 1

    def line(self) -> Speed:
        """By least squares, with nothing below 0."""
        calls2, both, size2, by_calls, by_size = self._sums
        spread = calls2 * size2 - both * both
        if spread < 0.01 * calls2 * size2:  # all alike
            return Speed(0.0, by_size / size2)
        call, chunk = (by_calls * size2 - by_size * both) / spread, (by_size * calls2 - by_calls * both) / spread
        if chunk < 0:
            return Speed(by_calls / calls2, 0.0)
        return Speed(call, chunk) if call > 0 else Speed(0.0, by_size / size2)

    def scale(self, known: Speed) -> float:
        """How many times as long as with `known` it takes."""
        calls2, both, size2, by_calls, by_size = self._sums
        told = known.call**2 * calls2 + 2 * known.call * known.chunk * both + known.chunk**2 * size2
        return (known.call * by_calls + known.chunk * by_size) / told if told else 1.0


class Pace:
    """Measures the forwards of one run.

    look: see `works`. known: of an earlier run like it. The first forward counts nothing: weights are moved and kernels
    chosen in it.
    """

    def __init__(
        self,
        stages: Sequence[StageCost],
        look: float = 0.0,
        known: Speed | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._known, self._clock = works(stages, look), known, clock
        self._done = list(accumulate(self._work, initial=Work(0, 0)))
        self._now, self._whole = _Fit(FADING), _Fit(1.0)
        self.began: float | None = None
        self._mark = 0.0
        self._pauses = 0.0
        self._clips = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the first forward was through."""
        return 0.0 if self.began is None else self._clock() - self.began

    def stepped(self, step: int) -> None:
        """Forward number `step`, from 1, is through."""
        now = self._clock()
        if self.began is None:
            self.began = now
        elif step <= len(self._work):
            for fit in (self._now, self._whole):
                fit.add(self._work[step - 1], now - self._mark)
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
        """As it is now; None where nothing tells."""
        return self._speed(self._now)

    @property
    def kept(self) -> Speed | None:
        """Of the whole run, for later ones; None where too little was measured."""
        return self._speed(self._whole) if self._whole.measured >= FEWEST else None

    def seconds_left(self, step: int, clips: int) -> float | None:
        """After forward `step`, with `clips` still to make."""
        speed = self.speed
        if speed is None:
            return None
        return max(0.0, speed.seconds(self._done[-1] - self._done[min(step, len(self._work))]) + speed.clip * clips)

    def _speed(self, fit: _Fit) -> Speed | None:
        known = self._known
        if known is not None:
            speed = known.times(fit.scale(known)) if fit.measured else known
            if fit is self._whole and fit.measured > 10 * FEWEST:  # how calls and chunks compare may have changed
                speed = fit.line()
            told = speed.clip or known.clip  # counts as one that was made
            clip = (told + self._pauses) / (1 + self._clips) if told else self._mean_clip
            return Speed(speed.call, speed.chunk, clip)
        if fit.measured < FEWEST:
            return None
        line = fit.line()
        return Speed(line.call, line.chunk, self._mean_clip)

    @property
    def _mean_clip(self) -> float:
        return self._pauses / self._clips if self._clips else 0.0
