"""Walking an extend: where it starts, what is remembered of it, what has to be computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.host_memory import return_freed_memory, settled
from magi_core.sampling.forward import Predictor
from magi_core.sampling.handoff import (
    Continuation,
    begun_again,
    chained,
    clean_frontier,
    find_frontier,
    known_records,
    record_of,
    resume,
)
from magi_core.sampling.loop import Run, StepEvent
from magi_core.sampling.pages import PageBook
from magi_core.state import Frontier, SamplerState
from magi_core.state.state import Cancelled
from magi_core.story.direction import DirectedPrompt, entering_chunks

if TYPE_CHECKING:
    from magi_core.config import SamplingSettings
    from magi_core.engine import Engine


class _Stop(Exception):
    """Raised between forwards when the caller asked to stop."""


def start(
    engine: Engine, state: SamplerState, handoff: str, settings: SamplingSettings | None = None
) -> tuple[SamplerState, Frontier]:
    """The state with settings and notes of this extend, and the frontier it goes on from."""
    if state.channels != engine.dit.config.latent_channels:
        raise MagiError(
            f"this state has latents of {state.channels} channels, the model {engine.dit.config.latent_channels}"
        )
    differs = differences(engine, state, settings)
    asked = handoff == "continuous" or bool(state.pending)
    begun = replace(
        state, settings=settings or state.settings, fingerprint=engine.fingerprint, model=engine.dit.config.summary
    )
    if differs and asked and state.next_chunk > state.first_chunk:
        note = f"continued from the finished chunks: {'; '.join(differs)}"
        return replace(begun, notes=(*state.notes, note)), clean_frontier(begun, engine.model_key)
    frontier, note = find_frontier(begun, handoff, engine.model_key, engine.cache)
    return (replace(begun, notes=(*state.notes, note)) if note else begun), frontier


def differences(engine: Engine, state: SamplerState, settings: SamplingSettings | None = None) -> tuple[str, ...]:
    """What makes `engine`, with `settings` in place of the state's, another than the one `state` was made with."""
    found = []
    if state.fingerprint != engine.fingerprint:
        made, here = state.model or "another model", engine.dit.config.summary
        same = f"other weights of the same kind ({here})"
        found.append(same if made == here else f"made with {made}, the model here is {here}")
    before = vars(state.settings)
    changed = {} if settings is None else {k: v for k, v in vars(settings).items() if v != before[k]}
    found += [f"{name.replace('_', ' ')} was {before[name]}, is {value}" for name, value in changed.items()]
    return tuple(found)


def continuation(
    engine: Engine, state: SamplerState, frontier: Frontier, prompts: Sequence[DirectedPrompt]
) -> Continuation:
    """New chunks behind `frontier`; chunks in flight that it does not hold are begun again before them."""
    again = begun_again(state) if frontier.next_chunk < state.next_chunk else []
    return Continuation(frontier, chained(frontier, [*again, *entering_chunks(state, prompts, engine.texts)]))


def walk(
    engine: Engine,
    given: SamplerState,
    state: SamplerState,
    way: Continuation,
    *,
    drain: bool,
    on_step: Callable[[StepEvent], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[SamplerState]:
    """Hand out what is remembered, compute the rest, remember it: a state after every chunk that becomes clean.

    given: the state as it came in; `state` has the settings and notes of this extend.
    """
    cache = engine.cache
    unfinished = way.unfinished(state.finished)
    last = unfinished[-1] if unfinished else None
    for record in known_records(way, state.finished, cache):
        state = replace(state.with_chunk(record), frontier=None)
        if record.key == last.key:
            state = replace(state, frontier=cache.frontiers.get(last.key))
        yield state
    if state.finished > last.chunk:
        return
    way = resume(way, state.finished, cache)
    latest = way.frontier

    def remember(frontier: Frontier) -> None:
        nonlocal latest
        latest = frontier
        cache.frontiers.put(frontier.key, frontier)

    def stop_if_asked() -> None:
        if cancelled is not None and cancelled():
            raise _Stop

    with engine.at_work(state, last.chunk + 1):
        run = _prepared_run(engine, lambda: state, way.frontier, stop_if_asked, on_step, remember)
        try:
            for chunk in run(way.frontier, way.entering, drain=drain):
                if chunk.chunk < state.finished:  # handed out before, redone with the new chunks in the window
                    continue
                latent = settled(chunk.latent)
                cache.chunks.put(chunk.key, latent)
                state = state.with_chunk(record_of(chunk, latent, way.frontier.run_start))
                state = replace(state, frontier=latest if chunk.key == last.key else None)
                return_freed_memory()
                yield state
        except _Stop:
            if latest.next_chunk < given.next_chunk:  # chunks in flight were to begin again and have not yet
                raise Cancelled(given) from None
            raise Cancelled(replace(state, frontier=latest if given.pending else None)) from None
    if not drain:
        yield replace(state, frontier=latest)


@torch.no_grad()
def _prepared_run(
    engine: Engine,
    state: Callable[[], SamplerState],
    frontier: Frontier,
    before_forward: Callable[[], None],
    on_step: Callable[[StepEvent], None] | None,
    on_boundary: Callable[[Frontier], None],
) -> Run:
    settings, first, shape = state().settings, state().first_chunk, state().latent_shape
    null_text = engine.texts.null(settings)
    null = engine.dit.text_context(null_text)
    how = {"before_forward": before_forward, "compiler": engine.compiler}
    predictor = Predictor(engine.dit, engine.attention, settings, null, **how)
    schedule = (settings.clean_t, settings.steps, settings.shortcut)
    pages = digest(engine.model_key, shape, schedule, null_text)
    return Run(
        predictor,
        engine.dit.text_context,
        PageBook(predictor, engine.cache.pages, pages, frontier.run_start),
        lambda index: state().chunk_latent(index),
        lambda chunk: engine.noise(chunk.seed, chunk.chunk, shape),
        anchor=state().anchor if frontier.run_start == first else None,
        on_step=on_step,
        on_boundary=on_boundary,
    )
