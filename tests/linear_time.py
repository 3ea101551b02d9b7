"""Whether work grows with its input and no faster, told by doubling it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

NOISE = 0.02  # seconds
AT_MOST = 3.0  # times as long for twice the input


def grows_evenly(work: Callable[[int], object], size: int, *, within: float) -> str:
    """What is wrong with the time that `work(n)` takes at n = size, 2 size and 4 size, or "".

    within: seconds that the largest may take. Times are the best of up to five, so that other processes do not count.
    """
    for _ in range(5):
        times = [_seconds(work, count) for count in (size, 2 * size, 4 * size)]
        pairs = zip(times, times[1:], strict=False)
        if times[-1] <= within and all(longer <= AT_MOST * shorter + NOISE for shorter, longer in pairs):
            return ""
    return f"{size} to {4 * size} took {', '.join(f'{seconds:.3f} s' for seconds in times)}"


def _seconds(work: Callable[[int], object], size: int) -> float:
    gc.disable()  # it would look through all that the tests before have left
    try:
        start = time.process_time()
        work(size)
        return time.process_time() - start
    finally:
        gc.enable()
