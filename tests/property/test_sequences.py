"""Takes made, branched, rewound, interrupted and dropped in any order, with memory taken away in between.

Every take is compared with what an engine that remembers nothing makes of the same words in the simplest way: each
run in one piece, run after run. The model of a take is its runs, each a tuple of prompts: a clean handoff starts a new
run, every other extend makes the last one longer, and rewinding cuts.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from magi_core.cache.engine_cache import EngineCache
from magi_core.state import SamplerState, load_state
from magi_core.state.state import Cancelled
from tests.property.bounded import bounded
from tools.small_models import tiny_engine

SIZE = {"width": 16, "height": 16}
SCHEDULE = {"steps": 3, "window": 3, "kv_ranges": (4, 3, 2)}
LONGEST = 7
Runs = tuple[tuple[str, ...], ...]
WHICH = st.integers(0, 5)
START = ("red", "blue circle", "red")
PROMPTS = st.lists(st.sampled_from(["red", "blue circle", ""]), min_size=1, max_size=3)


@cache
def simplest(runs: Runs) -> torch.Tensor:
    """Latents of `runs` from an engine without memory; `runs` may end in the middle of the last one."""
    engine = tiny_engine(**SCHEDULE)
    state = engine.begin(**SIZE)
    for run in runs:
        state = engine.extend(state, run, len(run))
    return state.latents


def cut(runs: Runs, count: int) -> Runs:
    """The first `count` chunks of `runs`."""
    kept = []
    for run in runs:
        kept.append(run[:count])
        count -= len(kept[-1])
    return tuple(run for run in kept if run)


def joined(runs: Runs, prompts: tuple[str, ...], new_run: bool) -> Runs:
    return (*runs, prompts) if new_run or not runs else (*runs[:-1], (*runs[-1], *prompts))


@dataclass(frozen=True, eq=False)
class Take:
    """A state, the runs it should be, and its latents copied when it was made."""

    state: SamplerState
    runs: Runs
    copied: torch.Tensor


class Takes(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.engine = tiny_engine(**SCHEDULE).copy(cache=EngineCache(host_bytes=1 << 16))
        self.takes: list[Take] = []
        begun = self.engine.begin(**SIZE)
        self._keep(begun, ())
        self._keep(self.engine.extend(begun, START, len(START)), (START,))

    def _keep(self, state: SamplerState, runs: Runs) -> None:
        assert state.next_chunk == sum(map(len, runs))
        take = Take(state, runs, state.latents.clone())
        self.takes.append(take)
        if state.chunks:
            expected = simplest(cut(runs, state.finished))
            assert (take.copied - expected).norm() / expected.norm() < 1e-5

    def _pick(self, which: int) -> Take:
        """Number 0 is the latest."""
        return self.takes[-1 - which % len(self.takes)]

    def _extended_runs(self, take: Take, state: SamplerState, prompts: tuple[str, ...], handoff: str) -> Runs:
        """A note says that the handoff was clean although another was asked for."""
        fell_back = len(state.notes) > len(take.state.notes)
        return joined(take.runs, prompts, new_run=fell_back or handoff == "clean" and not take.state.pending)

    @rule(which=WHICH, prompts=PROMPTS, handoff=st.sampled_from(["clean", "continuous"]), drain=st.booleans())
    def extend(self, which, prompts, handoff, drain):
        take, prompts = self._pick(which), tuple(prompts)
        if take.state.next_chunk + len(prompts) <= LONGEST:
            state = self.engine.extend(take.state, prompts, len(prompts), handoff=handoff, drain=drain)
            assert not drain or not state.pending
            self._keep(state, self._extended_runs(take, state, prompts, handoff))

    @rule(which=WHICH, prompts=PROMPTS, handoff=st.sampled_from(["clean", "continuous"]), forwards=st.integers(0, 12))
    def interrupted_extend(self, which, prompts, handoff, forwards):
        take, prompts = self._pick(which), tuple(prompts)
        if take.state.next_chunk + len(prompts) > LONGEST:
            return
        left = iter(range(forwards))
        try:
            state = self.engine.extend(
                take.state, prompts, len(prompts), handoff=handoff, cancelled=lambda: next(left, None) is None
            )
        except Cancelled as stopped:
            state = stopped.state
        assert state.next_chunk >= take.state.next_chunk, "nothing that was there is lost"
        runs = self._extended_runs(take, state, prompts, handoff)
        self._keep(state, cut(runs, state.next_chunk))

    @precondition(lambda self: self.takes[-1].state.pending)
    @rule()
    def drain(self):
        take = self._pick(0)
        self._keep(self.engine.drain(take.state), take.runs)

    @precondition(lambda self: self.takes[-1].state.chunks)
    @rule(back=st.integers(0, 3))
    def rewind(self, back):
        take = self._pick(0)
        count = max(0, take.state.finished - back)
        self._keep(take.state.at(count), cut(take.runs, count))

    @precondition(lambda self: len(self.takes) > 1)
    @rule(which=WHICH)
    def drop(self, which):
        self.takes.remove(self._pick(which))

    @rule(pages=st.integers(0, 4))
    def shrink_pages(self, pages):
        entries = self.engine.cache.pages.stats
        self.engine.cache.pages.resize(pages * entries.bytes // max(entries.entries, 1))

    @rule(pages=st.integers(0, 4))
    def leave_the_device(self, pages):
        entries = self.engine.cache.pages.stats
        self.engine.cache.pages.resize(host_bytes=pages * entries.bytes // max(entries.entries, 1))
        self.engine.cache.release_device()
        assert self.engine.cache.pages.stats.entries == 0

    @rule(which=WHICH, everything=st.booleans())
    def save_and_load(self, which, everything):
        take = self._pick(which)
        with tempfile.TemporaryDirectory() as folder:
            self.engine.remembered(take.state).save(Path(folder) / "take.magi", all_frontiers=everything)
            self._keep(load_state(Path(folder) / "take.magi"), take.runs)

    @rule(name=st.sampled_from(["pages", "chunks", "frontiers"]))
    def forget_some(self, name):
        getattr(self.engine.cache, name).clear()

    @rule()
    def forget_all(self):
        self.engine.cache.clear()

    def teardown(self):
        for take in self.takes:
            assert torch.equal(take.state.latents, take.copied), "a take never changes"


def test_no_sequence_of_calls_changes_a_result():
    run_state_machine_as_test(Takes, settings=bounded(60, stateful_step_count=12))
