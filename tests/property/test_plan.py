"""Whatever the window, the steps and the ranges: every chunk is denoised once, in order, from what is there."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from magi_core.config import SamplingSettings
from magi_core.sampling.window import Sight, Slot, pages_read, plan_stage, stages
from tests.property.bounded import bounded


@st.composite
def schedules(draw) -> SamplingSettings:
    window = draw(st.integers(1, 6))
    steps = window * draw(st.integers(1, 6))
    length = draw(st.sampled_from([n for n in range(1, steps + 1) if steps % n == 0]))
    ranges = draw(st.just(()) | st.lists(st.integers(1, 8), min_size=length, max_size=length).map(tuple))
    clean = draw(st.sampled_from([-1, 1, 2, 5]))
    return SamplingSettings(steps=steps, window=window, kv_ranges=ranges, clean_kv_range=clean)


def walk(settings, first, count):
    """Every stage of a run: its slots and its forwards."""
    return [(slots, list(plan_stage(slots, first, settings))) for slots in stages(first, count, settings.window)]


@bounded(150)
@given(schedules(), st.integers(0, 1000), st.integers(1, 12))
def test_every_chunk_gets_every_step_once_and_in_order(settings, first, count):
    steps = defaultdict(list)
    for _, forwards in walk(settings, first, count):
        for forward in forwards:
            for chunk in forward.chunks:
                steps[chunk.index].append(chunk.step)
    assert dict(steps) == {chunk: list(range(settings.steps)) for chunk in range(first, first + count)}


@bounded(150)
@given(schedules(), st.integers(0, 1000), st.integers(1, 12))
def test_stages_have_equal_length_and_a_bounded_window(settings, first, count):
    plan = walk(settings, first, count)
    assert len(plan) == count + settings.window - 1
    for slots, forwards in plan:
        assert len(slots) <= settings.window and len(forwards) == settings.steps // settings.window
        for forward in forwards:
            chunks = [chunk.index for chunk in forward.chunks]
            assert chunks == list(range(chunks[0], chunks[-1] + 1)), "neighbours, oldest first"
            assert chunks == [slot.index for slot in slots]


@bounded(150)
@given(schedules(), st.integers(0, 1000), st.integers(1, 12))
def test_ranges_end_with_the_chunk_itself_and_read_only_what_is_finished(settings, first, count):
    finished = set(range(first))
    for slots, forwards in walk(settings, first, count):
        for forward in forwards:
            for chunk in forward.chunks:
                start, stop = chunk.attends
                assert 0 <= start <= chunk.index and stop == chunk.index + 1
            assert finished.issuperset(forward.history)
        if slots[0].stage == settings.window - 1:
            finished.add(slots[0].index)


@bounded(150)
@given(schedules(), st.integers(0, 1000), st.integers(1, 12))
def test_a_finished_chunk_is_fresh_once_and_straight_away(settings, first, count):
    for (before, _), (_, forwards) in zip((plan := walk(settings, first, count)), plan[1:], strict=False):
        left = {slot.index for slot in before if slot.stage == settings.window - 1}
        fresh = [set() if forward.fresh is None else {forward.fresh.index} for forward in forwards]
        assert fresh == [left, *(set() for _ in forwards[1:])]


@bounded(150)
@given(schedules(), st.integers(0, 1000), st.integers(1, 12), st.data())
def test_a_run_can_be_taken_up_at_any_stage(settings, first, count, data):
    whole = list(stages(first, count, settings.window))
    cut = data.draw(st.integers(1, len(whole)))
    in_flight = [Slot(s.index, s.stage + 1) for s in whole[cut - 1] if s.stage + 1 < settings.window]
    entered = min(cut, count)
    assert list(stages(first + entered, count - entered, settings.window, in_flight)) == whole[cut:]


@bounded(100)
@given(schedules(), st.integers(1, 6), st.integers(1, 6), st.integers(0, 50))
def test_a_longer_run_begins_like_a_shorter_one(settings, count, more, first):
    """What allows going on from where the next chunk would enter: until then both runs are the same."""
    short, long = walk(settings, first, count), walk(settings, first, count + more)
    assert short[:count] == long[:count]


@st.composite
def sights(draw, settings: SamplingSettings, first: int, count: int) -> dict[int, Sight]:
    """Ranges of their own for some chunks, and walls."""
    lengths = [n for n in range(1, settings.steps + 1) if settings.steps % n == 0]
    longest = max(settings.kv_ranges, default=8)
    seen = {}
    for index in range(max(0, first - 8), first + count):
        length = draw(st.sampled_from(lengths))
        ranges = draw(st.none() | st.lists(st.integers(1, longest), min_size=length, max_size=length).map(tuple))
        seen[index] = Sight(ranges, draw(st.sampled_from([0, max(0, index - 2), index])))
    return seen


@bounded(150)
@given(st.data(), schedules(), st.integers(0, 40), st.integers(1, 8))
def test_the_pages_of_a_stage_are_those_that_its_forwards_read(data, settings, first, count):
    seen = data.draw(sights(settings, first, count))
    for slots in stages(first, count, settings.window):
        forwards = list(plan_stage(slots, first, settings, lambda index: seen.get(index, Sight())))
        read = {index for forward in forwards for index in forward.history}
        if forwards[0].fresh is not None:
            read |= {forwards[0].fresh.index, *forwards[0].fresh.history}
        assert set(pages_read(slots, first, settings, lambda index: seen.get(index, Sight()))) == read


@bounded(100)
@given(st.data(), schedules(), st.integers(0, 40), st.integers(1, 8))
def test_nobody_looks_across_a_wall(data, settings, first, count):
    seen = data.draw(sights(settings, first, count))
    for slots in stages(first, count, settings.window):
        for forward in plan_stage(slots, first, settings, lambda index: seen.get(index, Sight())):
            for chunk in forward.chunks:
                assert chunk.attends[0] >= seen.get(chunk.index, Sight()).first
