"""Wall-clock training schedules: how far along a run is, and the learning rate there."""

from __future__ import annotations

import time


class Clock:
    """Progress of a run limited to `minutes` of wall clock (compilation included) or to `steps`, whichever is
    first."""

    def __init__(self, minutes: float, steps: int | None = None) -> None:
        self.start, self.seconds, self.limit, self.step = time.monotonic(), minutes * 60, steps, 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        by_steps = self.step / self.limit if self.limit else 0.0
        return min(1.0, max(self.elapsed / self.seconds, by_steps))

    @property
    def done(self) -> bool:
        return self.progress >= 1.0


def learning_rate(peak: float, step: int, progress: float, *, warmup: int, decay_from: float, floor: float) -> float:
    """Linear warm-up over `warmup` steps, constant, then linear decay to `floor * peak` from `decay_from` of
    the run."""
    rate = peak * min(1.0, (step + 1) / warmup)
    if progress > decay_from:
        rate *= 1 - (1 - floor) * (progress - decay_from) / (1 - decay_from)
    return rate
