"""95% intervals: Wilson's for shares, bootstrap for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Interval = tuple[float, float]
RESAMPLES = 400


def wilson(right: float, n: int) -> Interval:
    """Of the share `right` of `n`. Source: E. B. Wilson, Probable inference, 1927."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(statistic: Callable[[Sequence[Any]], float], videos: Sequence[Any]) -> Interval:
    """Of `statistic` over whole videos drawn again with replacement; the same result every time."""
    rng = np.random.default_rng(1)
    draws = [statistic([videos[i] for i in rng.integers(0, len(videos), len(videos))]) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return float(low), float(high)
