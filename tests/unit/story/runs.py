"""Directed runs of a small random model."""

from __future__ import annotations

import pytest

SIZE = {"width": 32, "height": 32}
ENGINES = pytest.mark.parametrize("distill", [False, True], ids=["base", "distill"])


def render(engine, directions, **begin):
    """All chunks in one run, without anything remembered."""
    engine.cache.clear()
    return engine.extend(engine.begin(**SIZE, **begin), directions)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()
