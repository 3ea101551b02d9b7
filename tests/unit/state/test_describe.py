"""What is in a take, in words."""

from __future__ import annotations

from magi_core.cache.describe import cache_in_words
from magi_core.state.describe import describe
from tools.small_models import tiny_engine


def test_a_take_is_described_run_by_run() -> None:
    engine = tiny_engine(steps=4)
    state = engine.extend(engine.begin(width=32, height=48, seed=5), ["red", "red", "blue"], drain=False)
    lines = describe(state, "ball")
    assert lines[0].startswith("ball: 0 chunks, 0 frames, 0.00 s at 24 fps, 32x48, seed 5")
    assert "  0-1: red · seed 5 (in flight from chunk 0 on)" in lines
    assert lines[-1].startswith("  2: blue · seed 5 (in flight")


def test_what_an_engine_remembers_is_counted() -> None:
    engine = tiny_engine(steps=4)
    state = engine.begin(width=32, height=32)
    engine.extend(state, "red")
    assert any(line.startswith("remembered chunks: 1, ") for line in cache_in_words(engine.cache))
    engine.extend(state, "red")
    assert any(line.endswith(" 1 of 2 lookups found") for line in cache_in_words(engine.cache) if "chunks" in line)
