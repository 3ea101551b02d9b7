"""One run, cut anywhere, in any of the ways that promise the same video, is the same video."""

from __future__ import annotations

from functools import cache

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.property.bounded import bounded
from tools.small_models import tiny_engine

PROMPTS = ("red", "blue circle", "", "red", "a tall tree", "it stops")
SIZE = {"width": 32, "height": 16}
SCHEDULES = (
    {"steps": 4},
    {"steps": 6, "window": 3, "kv_ranges": (4, 2)},
    {"steps": 4, "window": 2, "kv_ranges": ()},
    {"steps": 4, "clean_kv_range": 2},
    {"steps": 4, "reference_quirks": True},
)
WAYS = ({"handoff": "continuous"}, {"drain": False}, {"handoff": "continuous", "drain": False})


def begin(engine, prefix, seed):
    given_frames = None
    if prefix:
        given_frames = torch.randn(1, 16, prefix, 2, 4, generator=torch.Generator().manual_seed(seed))
    return engine.begin(**SIZE, seed=seed, prefix=given_frames)


@cache
def whole_run(schedule, distill, prefix, seed, count):
    engine = tiny_engine(distill, **SCHEDULES[schedule])
    return engine.extend(begin(engine, prefix, seed), PROMPTS[:count], count)


@bounded(25)
@given(
    schedule=st.integers(0, len(SCHEDULES) - 1),
    distill=st.booleans(),
    prefix=st.integers(0, 14),
    seed=st.integers(0, 3),
    pieces=st.lists(st.tuples(st.integers(1, 3), st.sampled_from(WAYS), st.booleans()), min_size=2, max_size=5),
)
def test_cut_invariance(schedule, distill, prefix, seed, pieces):
    engine = tiny_engine(distill, **SCHEDULES[schedule])
    state, at = begin(engine, prefix, seed), 0
    for count, way, forget in pieces:
        prompts = PROMPTS[at : at + count]
        if not prompts:
            break
        if forget:
            engine.cache.clear()
        if state.chunks and not state.pending:
            way = way | {"handoff": "continuous"}  # a drained take goes on cleanly unless asked otherwise
        before, at = state.chunks, at + len(prompts)
        state = engine.extend(state, prompts, len(prompts), **way)
        assert state.chunks[: len(before)] == before, "chunks handed out stay as they were"
        assert not state.notes
    state, whole = engine.drain(state), whole_run(schedule, distill, prefix, seed, at)
    assert not state.pending and [c.prompt for c in state.chunks] == [c.prompt for c in whole.chunks]
    assert ((state.latents - whole.latents).norm() / whole.latents.norm()) < 1e-5
