"""What a run costs before it starts, in chunk-forwards: chunks in all model calls of all guidance passes."""

from __future__ import annotations

from collections.abc import Sequence

from magi_core.config import SamplingSettings
from magi_core.sampling.guidance import pass_weights
from magi_core.sampling.timesteps import timesteps
from magi_core.sampling.window import ForwardPlan, Slot, plan_stage, stages


def run_cost(
    settings: SamplingSettings,
    distill: bool,
    *,
    start: int,
    count: int,
    run_start: int,
    in_flight: Sequence[Slot] = (),
    drain: bool = True,
) -> int:
    """Chunk-forwards of a run in which `count` chunks enter from index `start` on, K/V pages that are missing aside.

    in_flight: chunks that are already on their way. drain: whether the run goes on until all are finished.
    """
    plan = list(stages(start, count, settings.window, in_flight))
    grid = timesteps(settings.steps, settings.shortcut)
    return sum(
        _forward_cost(forward, settings, distill, [float(grid[c.step]) for c in forward.chunks if not c.clean])
        for slots in (plan if drain else plan[:count])
        for forward in plan_stage(slots, run_start, settings)
    )


def _forward_cost(plan: ForwardPlan, settings: SamplingSettings, distill: bool, times: Sequence[float]) -> int:
    chunks = len(plan.chunks)
    if distill:
        return chunks + (times[0] > settings.nearly_clean_threshold)
    weights = [pass_weights(settings.guidance, t) for t in times]
    text = chunks if any(w.text for w in weights) else 0
    return chunks + text + sum(bool(w.alone) for w in weights)
