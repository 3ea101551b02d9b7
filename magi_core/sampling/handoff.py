"""How an extend goes on from a state: from the finished chunks, or from the pipeline as it was."""

from __future__ import annotations

from dataclasses import replace

from magi_core.cache.engine_cache import EngineCache
from magi_core.config import SamplingSettings
from magi_core.errors import MagiError, echo
from magi_core.sampling.keys import frontier_keys
from magi_core.sampling.sampler import Sampler
from magi_core.state import Frontier, SamplerState
from magi_core.state.describe import counted

HANDOFFS = ("clean", "continuous")


def start(
    engine: Sampler, state: SamplerState, handoff: str, settings: SamplingSettings | None = None
) -> tuple[SamplerState, Frontier]:
    """The state with settings and notes of this extend, and the frontier it goes on from."""
    if handoff not in HANDOFFS:
        raise MagiError(f"unknown handoff {echo(handoff)}: use {' or '.join(map(repr, HANDOFFS))}")
    channels = engine.dit.config.latent_channels
    if state.channels != channels:
        raise MagiError(f"this state has latents of {state.channels} channels, the model {channels}")
    differs = differences(engine, state, settings)
    asked = handoff == "continuous" or bool(state.pending)
    model = engine.dit.config.summary
    begun = replace(
        state,
        settings=settings or state.settings,
        fingerprint=engine.fingerprint,
        weights_digest=engine.weights_digest,
        model=model,
        vae=state.vae or engine.vae_identity,
        unfinished=None,
    )
    if differs and asked and state.next_chunk > state.first_chunk:
        note = f"continued from the finished chunks: {'; '.join(differs)}"
        return replace(begun, notes=(*state.notes, note)), clean_frontier(begun)
    frontier, note = find_frontier(begun, handoff, engine.cache)
    return (replace(begun, notes=(*state.notes, note)) if note else begun), frontier


def differences(engine: Sampler, state: SamplerState, settings: SamplingSettings | None = None) -> tuple[str, ...]:
    """What makes `engine`, with `settings` in place of the state's, another than the one `state` was made with."""
    found = []
    if state.fingerprint != engine.fingerprint:
        made, here = state.model or "another model", engine.dit.config.summary
        same = f"other weights of the same kind ({here})"
        found.append(same if made == here else f"made with {made}, the model here is {here}")
    elif state.weights_digest and engine.weights_digest and state.weights_digest != engine.weights_digest:
        found.append("some weights are other than those it was made with, in a model of the same fingerprint")
    before = vars(state.settings)
    changed = {} if settings is None else {k: v for k, v in vars(settings).items() if v != before[k]}
    found += [f"{name.replace('_', ' ')} was {before[name]}, is {value}" for name, value in changed.items()]
    return tuple(found)


def clean_frontier(state: SamplerState) -> Frontier:
    """A run that starts from clean chunks, as video continuation does: nothing is in flight."""
    return Frontier((), state.finished, state.finished)


def find_frontier(state: SamplerState, handoff: str, cache: EngineCache) -> tuple[Frontier, str]:
    """The frontier to go on from, and a note where it is not the one asked for.

    "clean": from the finished chunks; chunks that are still in flight are finished first. "continuous": from the
    pipeline as it was, the state's own or a remembered one.
    """
    if not state.chunks and not state.pending or handoff == "clean" and not state.pending:
        return clean_frontier(state), ""
    kept = state.frontier or remembered_frontier(state, state.finished, cache)
    if kept is None:
        note = "the pipeline of this take is not remembered any more: continued from its finished chunks"
        return clean_frontier(state), note
    return kept, ""


def remembered_frontier(state: SamplerState, count: int, cache: EngineCache) -> Frontier | None:
    """The pipeline of `state` as it was before chunk `count` entered, if `cache` holds it."""
    if count <= state.first_chunk:
        return None
    last = state.chunks[count - 1 - state.first_chunk]
    starts = dict.fromkeys(max(first, state.first_chunk) for first in (last.run_start, last.at.wall))
    keys = (key for first in starts for key in frontier_keys(state, count, first))  # it may have begun at the wall
    return next(filter(None, map(cache.frontiers.peek, keys)), None)


def with_frontiers(state: SamplerState, cache: EngineCache) -> SamplerState:
    """`state` with every earlier frontier that it holds or `cache` remembers."""
    own = {frontier.next_chunk: frontier for frontier in state.frontiers}
    counts = range(state.first_chunk + 1, state.finished)
    found = (own.get(count) or remembered_frontier(state, count, cache) for count in counts)
    return replace(state, frontiers=tuple(frontier for frontier in found if frontier is not None))


def continues_exactly(state: SamplerState, engine: Sampler | None = None) -> bool:
    """Whether `handoff="continuous"` goes on from `state` as the run that made it would have.

    engine: the one that will extend it, which may remember what the take does not hold.
    """
    if engine is not None and differences(engine, state):
        return not state.chunks
    if not state.chunks or state.frontier is not None:
        return True
    return engine is not None and remembered_frontier(state, state.finished, engine.cache) is not None


def exactness_in_words(state: SamplerState, engine: Sampler | None = None) -> str:
    """What an extend from here can do, for the node."""
    place = counted(state.finished)
    if continues_exactly(state, engine):
        return f"back at {place}: continuous goes on exactly as the long run would have"
    if engine is None:
        return f"back at {place}: continuous is exact if the model still remembers this point (connect it to know)"
    return f"back at {place}: this point is not remembered, so continuous will go on from the finished chunks"
