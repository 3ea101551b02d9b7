"""Hypothesis settings of this folder: the same examples every time, few enough for a busy core."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def bounded(examples: int, **changes: int) -> settings:
    return settings(
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        **changes,
    )
