"""Where the time of a piece of work goes, kernel by kernel."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

MOST = 22  # kernels that are listed


def profiled(name: str, work: Callable[[], object]) -> None:
    """Print the kernels of one call of `work`, which was run before: milliseconds, calls, share; and how long the
    processor took to queue them, and all of it."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    queued = time.perf_counter() - began
    torch.cuda.synchronize()
    wall = time.perf_counter() - began
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        work()
        torch.cuda.synchronize()
    kernels = [event for event in profile.key_averages() if event.self_device_time_total > 0]
    total, count = sum(event.self_device_time_total for event in kernels), sum(event.count for event in kernels)
    print(f"{name}: queued in {1e3 * queued:.1f} ms, done in {1e3 * wall:.1f}, busy {total / 1e3:.1f}; {count} kernels")
    for event in sorted(kernels, key=lambda event: -event.self_device_time_total)[:MOST]:
        spent = event.self_device_time_total
        print(f"{spent / 1e3:9.2f} ms {event.count:5d} {100 * spent / total:5.1f} %  {event.key[:110]}")
