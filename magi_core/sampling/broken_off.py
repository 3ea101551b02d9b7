"""Going on with a run that was broken off, from the pipeline that was kept with its finished chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from magi_core.config import SamplingSettings
from magi_core.sampling.asked import new_chunks
from magi_core.sampling.handoff import differences, start
from magi_core.sampling.sampler import Sampler
from magi_core.sampling.second_pass import SecondPass
from magi_core.state import Frontier, SamplerState
from magi_core.state.describe import counted
from magi_core.story.direction import Direction, spec_of


@dataclass(frozen=True, eq=False)
class Start:
    """Where an extend goes on.

    begun: the state with settings, model and notes of this extend. frontier: the pipeline. directions: of the chunks
    that enter. run_start: first chunk of the run, for keys.
    """

    begun: SamplerState
    frontier: Frontier
    directions: Sequence[Direction]
    run_start: int


def start_of(
    engine: Sampler,
    state: SamplerState,
    directions: Sequence[Direction],
    handoff: str,
    settings: SamplingSettings | None,
    second: SecondPass | None,
) -> Start:
    """Where an extend of `state` goes on: with the run it was broken off at where `directions`, and the sources of a
    second pass, ask for the same, or else as `handoff` says."""
    run = state.unfinished
    if run is None:
        begun, frontier = start(engine, state, handoff, settings)
        return Start(begun, frontier, directions, frontier.run_start)
    if _asked_again(engine, state, directions, settings, second):
        flying = replace(state, frontier=run.frontier, unfinished=None)
        begun, frontier = start(engine, flying, "continuous", settings)
        begun = begun.noting("the run that was broken off goes on")
        return Start(begun, frontier, directions[len(flying.pending) :], run.run_start)
    begun, frontier = start(engine, state, handoff, settings)
    if note := _left_behind(engine, state, directions, settings):
        begun = begun.noting(note)
    return Start(begun, frontier, directions, frontier.run_start)


def _asked_again(
    engine: Sampler,
    state: SamplerState,
    directions: Sequence[Direction],
    settings: SamplingSettings | None,
    second: SecondPass | None,
) -> bool:
    """Whether `directions` begin with what was in flight when the run of `state` was broken off, by content."""
    run = state.unfinished
    if run is None or not run.fits(state.finished) or differences(engine, state, settings):
        return False
    count = run.frontier.next_chunk - state.finished
    if count == 0:  # nothing was in flight: the words of the next chunk have to do
        return bool(directions and run.to_come) and spec_of(directions[0]) == run.to_come[0]
    if count > len(directions):
        return False
    alone = replace(state, frontier=None, unfinished=None)
    again = new_chunks(engine, alone, Frontier((), state.finished, run.run_start), directions[:count], second)
    keys = {index: chunk.at.key for index, chunk in again.items()}
    return all(
        chunk.at.key == (keys[chunk.index] if chunk.index in keys else state.flown_key(chunk.index))
        for chunk in run.frontier.chunks
    )


def _left_behind(
    engine: Sampler, state: SamplerState, directions: Sequence[Direction], settings: SamplingSettings | None
) -> str:
    """Why a run does not go on that the words of `directions` ask to go on, or ""."""
    run = state.unfinished
    if run is None or not directions:
        return ""
    asked, count = run.asked(state.finished), run.frontier.next_chunk - state.finished
    specs = tuple(map(spec_of, directions[:count]))
    if not specs or specs != asked[: len(specs)]:
        return ""
    if len(specs) < count:
        why = f"{counted(count)} were in flight, {len(specs)} asked for"
    else:
        why = "; ".join(differences(engine, state, settings)) or (
            "prompts are encoded another way here, or the model has another precision or another source"
        )
    return f"the run that was broken off does not go on ({why}): continued from the finished chunks"
