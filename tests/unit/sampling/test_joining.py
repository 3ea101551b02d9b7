"""A motion that ends elsewhere than what is kept after it is told while it runs, and what joins is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from magi_core.sampling.events import Denoising, Stepped
from magi_core.sampling.extension import Extension
from magi_core.sampling.joining import APART, Joining, displacement
from magi_core.sampling.timesteps import timesteps
from magi_core.state import Cancelled, ChunkRecord, PlacedChunk, SamplerState
from magi_core.story.chunk import ChunkSpec
from tools.small_models import tiny_engine

SIDE = 16
CHANNELS = 16


def disc(x: float, y: float, radius: float = 3.0, colour: int = 1) -> Tensor:
    """A latent frame [16, 16, 16] with a disc on an even ground."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    inside = ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).float()
    colours = torch.randn(CHANNELS, generator=torch.Generator().manual_seed(colour))
    return torch.full((CHANNELS, SIDE, SIDE), 0.3) + colours[:, None, None] * inside


@pytest.fixture(scope="module")
def take() -> SamplerState:
    """Eight chunks in which a disc stands still in the middle."""
    begun = tiny_engine(steps=8).begin(width=128, height=128)
    latent = disc(8, 8)[:, None].repeat(1, 6, 1, 1)
    chunks = [ChunkRecord(PlacedChunk(i, ChunkSpec("red"), 0), latent) for i in range(8)]
    return replace(begun, chunks=tuple(chunks))


def retouched(take: SamplerState, join: int = 0, strength: float = 1.0, **more) -> Extension:
    return tiny_engine(steps=8).retouch(take, [ChunkSpec("red", **more)] * 3, 2, strength=strength, join=join)


def told(extension: Extension, heading: dict[int, Tensor]) -> list[tuple[int, int, str]]:
    """(chunk that took a step, the step, note) while chunks are heading for frames; those not named stand still."""
    grid, joining, notes = timesteps(8), Joining(extension), []
    for step in range(1, 9):
        for index, chunk in extension.new.items():
            if chunk.kept is None and step > chunk.sight.release:
                frame = heading.get(index, disc(8, 8))
                at = Denoising(index, "", 0, float(grid[step]), lambda frame=frame: frame[:, None])
                notes += [(index, step, note) for note in joining.seen(Stepped((at,), step, 8, 0, 8))]
    return notes


@pytest.mark.parametrize("radius", [2.0, 3.0])
def test_displacement_is_how_far_an_object_is_away_whatever_its_size_and_colour(radius: float) -> None:
    assert displacement(disc(8, 8, radius), disc(8, 8, radius, colour=2)) < 0.1
    for x, y, away in ((9, 8, 1), (8, 5, 3), (11, 4, 5)):
        assert displacement(disc(8, 8, radius), disc(x, y, radius, colour=2)) == pytest.approx(away, abs=0.1)
    assert displacement(disc(8, 8), disc(8, 8)) == displacement(torch.zeros(4, 2, 2), torch.zeros(4, 2, 2)) == 0


def test_a_sixteenth_of_the_picture_is_too_far(take) -> None:
    assert APART * SIDE == 1
    assert told(retouched(take), {4: disc(9.6, 8)}) and not told(retouched(take), {4: disc(8.5, 8)})


def test_what_ends_elsewhere_is_told_at_the_first_free_step_and_once(take) -> None:
    ((index, step, note),) = told(retouched(take), {4: disc(12, 12)})
    assert (index, step) == (4, 1) and "chunk 4 is heading elsewhere than chunk 5 begins, which stays as it was" in note
    assert told(retouched(take), {4: disc(8, 8, colour=3)}) == []
    assert told(retouched(take), {2: disc(12, 12), 3: disc(12, 12)}) == [], "it leads back before what is kept"


def test_on_a_ramp_it_is_told_where_a_chunk_meets_one_that_is_held_to_its_place(take) -> None:
    ramp = retouched(take, join=2)  # strengths 1, 2/3 and 1/3
    for sent, first in (((2, 3, 4), 3), ((4,), 4)):
        ((index, step, note),) = told(ramp, dict.fromkeys(sent, disc(12, 12)))
        assert (index, step) == (first, ramp.new[first].sight.release + 1)
        begins = f"chunk {first + 1} begins, which {'stays as it was' if first == 4 else 'is held close to the take'}"
        assert begins in note
    even = tiny_engine(steps=8).retouch(take, [ChunkSpec("red", strength=0.5)] * 3, 2)
    assert told(even, {2: disc(12, 12)}) == [], "the next is as free as it is"
    ((index, step, note),) = told(ramp, {2: disc(12, 12)})  # the next may follow, until it has taken a step
    assert (index, step) == (3, ramp.new[3].sight.release + 1) and "chunk 2 is heading elsewhere than chunk 3" in note
    loose = [ChunkSpec("red", strength=strength) for strength in (1, 0.85, 1)]
    follows = told(tiny_engine(steps=8).retouch(take, loose, 2), {2: disc(12, 12), 3: disc(12, 12)})
    assert follows == []


@pytest.mark.parametrize("strength", [0.5, 0.6])
def test_what_is_lit_anew_is_compared_with_what_is_lit_anew_and_not_with_the_source(take, strength: float) -> None:
    """By night other things stand out of a picture than by day, wherever they are."""
    engine = tiny_engine(steps=8)
    freer = [ChunkSpec("red", strength=0.75), *["red"] * 7]
    night = engine.plan(engine.begin_again(take), freer, source=take, strength=strength)
    assert night.new[0].sight.release < night.new[1].sight.release
    assert told(night, dict.fromkeys(range(8), disc(12, 12))) == []
    ((index, step, note),) = told(night, {0: disc(12, 12)})
    assert (index, step) == (1, night.new[1].sight.release + 1) and "chunk 0 is heading elsewhere than chunk 1" in note


def test_a_chunk_may_end_where_the_take_s_own_ended_whatever_comes_then(take) -> None:
    """Something that hops is elsewhere a moment later, in the take too."""
    chunk = take.chunks[4]
    hop = torch.stack([*[disc(8, 8)] * 5, disc(4, 4)], dim=1)
    hopping = replace(take, chunks=(*take.chunks[:4], replace(chunk, latent=hop), *take.chunks[5:]))
    assert told(retouched(hopping), {4: disc(4, 4)}) == told(retouched(hopping), {4: disc(8, 8)}) == []
    assert told(retouched(hopping), {4: disc(12, 12)})


def test_a_cut_may_lead_anywhere(take) -> None:
    cut = take.chunks[5]
    cut = replace(cut, at=replace(cut.at, spec=ChunkSpec("blue", transition="cut")))
    other = replace(take, chunks=(*take.chunks[:5], cut, *take.chunks[6:]))
    assert told(retouched(other), {4: disc(12, 12)}) == []


def test_a_run_tells_it_at_once_and_keeps_it_with_the_take(take) -> None:
    engine, heard = tiny_engine(steps=8), []
    extension = engine.retouch(take, "a tree", 2, 3, strength=1)
    *_, made = engine.run(extension, on_step=lambda event: heard.extend((event.step, note) for note in event.notes))
    ((step, note),) = heard  # a model with random weights paints no disc
    assert step < extension.forwards and note in made.notes


def test_broken_off_behind_the_jump_it_is_told_again_and_kept_once(take) -> None:
    engine, events = tiny_engine(steps=8), []
    plan = engine.retouch(take, "a tree", 2, 3, strength=1)
    with pytest.raises(Cancelled) as broken:
        list(engine.run(plan, on_step=events.append, cancelled=lambda: bool(events) and events[-1].done == 1))
    state = broken.value.state
    left = state.unfinished.asked(state.finished)
    (note,) = [note for event in events for note in event.notes]
    again = tiny_engine(steps=8)
    *_, made = again.run(again.plan(state, left, source=take), on_step=events.append)
    assert [told for event in events for told in event.notes] == [note, note]
    assert made.finished == 8 and made.notes.count(note) == 1


@pytest.mark.parametrize("made_before", [1, 2, 3])
def test_asked_for_again_it_is_told_before_the_run_where_the_chunk_is_there_and_kept_once(take, made_before) -> None:
    engine, events = tiny_engine(steps=8), []
    how = {"first": 2, "chunks": 4, "strength": 1}
    with pytest.raises(Cancelled):
        plan = engine.retouch(take, "a tree", **how)
        list(engine.run(plan, on_step=events.append, cancelled=lambda: bool(events) and events[-1].done == made_before))
    (note,) = [note for event in events for note in event.notes]
    again, heard = engine.retouch(take, "a tree", **how), []
    assert not any("expect a jump" in told for told in again.notes), "the last of them is still to be made"
    *_, made = engine.run(again, on_step=lambda event: heard.extend(event.notes))
    assert heard == [note] and made.notes.count(note) == 1
    once_more = engine.retouch(take, "a tree", **how)
    *_, same = engine.run(once_more, on_step=lambda event: heard.extend(event.notes))
    assert once_more.notes.count(note) == 1 and same.notes.count(note) == 1 and heard == [note]


def test_a_plan_without_numbers_tells_nothing_and_does_not_fail(take) -> None:
    engine = tiny_engine(steps=8)
    list(engine.run(engine.retouch(take, "a tree", 2, 3, strength=1)))
    keyed = [
        replace(chunk, at=replace(chunk.at, key=chunk.key), latent=chunk.latent.to("meta")) for chunk in take.chunks
    ]
    outline = engine.retouch(replace(take, chunks=tuple(keyed)), "a tree", 2, 3, strength=1)
    assert [chunk.kind for chunk in outline.chunks][2:5] == ["remembered"] * 3
    assert not any("expect a jump" in note for note in outline.notes)


def test_what_can_be_done_is_said_of_chunks_that_stay_and_of_chunks_that_are_made_again(take) -> None:
    away = {3: disc(12, 12), 4: disc(12, 12)}
    ((_, _, kept),) = told(retouched(take), away)
    assert "which stays as it was" in kept and "make the chunks from 5 on anew too" in kept
    engine = tiny_engine(steps=8)
    again = [ChunkSpec("red", strength=1), ChunkSpec("red", strength=0.5)]
    ((_, _, tied),) = told(engine.plan(take.at(3), again, source=take), {3: disc(12, 12)})
    assert "held close to the take" in tied and "give the chunks from 4 on a higher strength" in tied
