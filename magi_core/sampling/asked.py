"""The chunks that an extend makes: placed, with their texts and keys, before any model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from magi_core.config import SamplingSettings
from magi_core.sampling.extension import NewChunk
from magi_core.sampling.keys import ChunkKeys
from magi_core.sampling.sampler import Sampler
from magi_core.sampling.second_pass import SecondPass, released
from magi_core.state import Frontier, InFlight, PlacedChunk, SamplerState
from magi_core.state.chunk import Source, placed
from magi_core.story.chunk import ChunkSpec
from magi_core.story.direction import Direction, prompt_of, spec_of
from magi_core.story.transitions import chunk_ranges
from magi_core.text.chunk_text import AskedText, ChunkText, ChunkTexts


def new_chunks(
    engine: Sampler,
    state: SamplerState,
    frontier: Frontier,
    directions: Sequence[Direction],
    second: SecondPass | None = None,
) -> dict[int, NewChunk]:
    """Every chunk that is not finished yet, by index: in flight, to begin again, new."""
    settings = state.settings
    specs = [spec_of(direction) for direction in directions]
    place = partial(placed, index=state.next_chunk, seed=state.seed, wall=state.wall)
    entering = place(specs)
    texts: list[AskedText | ChunkText] = _texts(engine.texts, state, entering, directions)
    sources = [None if second is None else second.source(chunk, state) for chunk in entering]
    entering = place(map(_in_its_shot, specs, sources))
    if frontier.next_chunk < state.next_chunk:  # what was in flight cannot be taken over
        again = state.pending
        sources = [*(_released_anew(chunk, settings) for chunk in again), *sources]
        entering = [*(replace(chunk.at, key="") for chunk in again), *entering]
        texts = [*(chunk.text for chunk in again), *texts]
    ranges = [ranges_of(chunk, settings) for chunk in entering]
    keys = [text.key for text in texts]
    chain = ChunkKeys.of(state, engine.model_key, frontier).chain
    chained = chain(list(zip(entering, keys, ranges, sources, strict=True)))
    flying = [NewChunk(chunk.at, chunk.text, ranges_of(chunk.at, settings), chunk.source) for chunk in frontier.chunks]
    new = [*flying, *map(NewChunk, chained, texts, ranges, sources)]
    return {chunk.at.index: chunk for chunk in new if chunk.at.index >= state.finished}


def _in_its_shot(spec: ChunkSpec, source: Source | None) -> ChunkSpec:
    """What is asked of a chunk. One that stays begins the shot that it began, and no other, and looks past a cut if it
    did: so those behind it see the same from the finished chunks as in one run."""
    if source is None or source.kept is None:
        return spec
    own = source.kept.spec
    after = "continue" if spec.transition == "cut" else spec.transition
    transition = "cut" if own.transition == "cut" else after
    return replace(
        spec, transition=transition, echo=own.echo, kv_ranges=None if transition == "cut" else spec.kv_ranges
    )


def _released_anew(chunk: InFlight, settings: SamplingSettings) -> Source | None:
    """The source of a chunk that begins again, perhaps on another grid."""
    strength = chunk.at.spec.strength
    return None if chunk.source is None or strength is None else released(chunk.source.record, strength, settings)


def _texts(
    texts: ChunkTexts, state: SamplerState, entering: Sequence[PlacedChunk], directions: Sequence[Direction]
) -> list[AskedText | ChunkText]:
    """The text of every new chunk. What many chunks share is asked for once."""
    asked: dict[object, AskedText] = {}
    found: list[AskedText | ChunkText] = []
    for chunk, direction in zip(entering, directions, strict=True):
        total, prompt = state.total_chunks, prompt_of(direction)
        to_come = None if total is None else total - (chunk.index - state.first_chunk)
        names = chunk.spec.special_tokens
        same = (prompt if isinstance(prompt, str) else (prompt.key, prompt.special_tokens), names, to_come)
        if same not in asked:
            asked[same] = texts.ask(state.settings, prompt, to_come, names)
        found.append(asked[same])
    return found


def ranges_of(chunk: PlacedChunk, settings: SamplingSettings) -> tuple[int, ...] | None:
    """KV ranges of a chunk in place of the settings', or None."""
    return chunk_ranges(chunk.spec.transition, chunk.spec.kv_ranges, settings)
