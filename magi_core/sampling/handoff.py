"""How an extend goes on from a state: from which frontier, with which chunks, and what is already known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from magi_core.cache.engine_cache import EngineCache
from magi_core.digest import digest
from magi_core.errors import MagiError, echo
from magi_core.sampling.window import history_read
from magi_core.state import ChunkRecord, Entering, Frontier, SamplerState
from magi_core.story.transitions import chunk_ranges

HANDOFFS = ("clean", "continuous")


@dataclass(frozen=True, eq=False)
class Continuation:
    """Where a run starts and what enters it."""

    frontier: Frontier
    entering: tuple[Entering, ...]

    def unfinished(self, finished: int) -> list[Entering]:
        """Chunks of the run that have not been handed out, oldest first."""
        return [chunk for chunk in (*self.frontier.chunks, *self.entering) if chunk.chunk >= finished]


def clean_frontier(state: SamplerState, model_key: str) -> Frontier:
    """A run that starts from clean chunks, as video continuation does: nothing is in flight."""
    start = state.finished
    history = [state.chunk_latent(index) for index in history_read(state.settings, start)]
    anchor = state.anchor if start == state.first_chunk else None
    key = digest("run", model_key, state.settings, state.latent_shape, start, anchor, *history)
    return Frontier((), start, start, key)


def find_frontier(state: SamplerState, handoff: str, model_key: str, cache: EngineCache) -> tuple[Frontier, str]:
    """The frontier to go on from, and a note where it is not the one asked for.

    "clean": from the finished chunks; chunks that are still in flight are finished first. "continuous": from the
    pipeline as it was, the state's own or a remembered one.
    """
    if handoff not in HANDOFFS:
        raise MagiError(f"unknown handoff {echo(handoff)}: use {' or '.join(map(repr, HANDOFFS))}")
    fresh = clean_frontier(state, model_key)
    if not state.chunks and not state.pending or handoff == "clean" and not state.pending:
        return fresh, ""
    kept = state.frontier
    if kept is None and state.chunks:
        kept = cache.frontiers.get(state.chunks[-1].key)
    if kept is None:
        return fresh, "the pipeline of this take is not remembered any more: continued from its finished chunks"
    return kept, ""


def chained(frontier: Frontier, chunks: Sequence[Entering]) -> tuple[Entering, ...]:
    """New chunks behind `frontier`, each keyed by all before it and its own seed, text, ranges and transition."""
    texts = {id(chunk.text): chunk.text for chunk in chunks}  # many chunks share one: it is read once
    text_keys = {name: digest(text) for name, text in texts.items()}
    keyed, key = [], frontier.key
    for chunk in chunks:
        key = digest("chunk", key, chunk.seed, text_keys[id(chunk.text)], chunk.kv_ranges, chunk.transition)
        keyed.append(replace(chunk, key=key))
    return tuple(keyed)


def known_records(continuation: Continuation, finished: int, cache: EngineCache) -> Iterator[ChunkRecord]:
    """Chunks of the run that were finished before and are remembered, as far as they go without a gap."""
    for chunk in continuation.unfinished(finished):
        latent = cache.chunks.get(chunk.key)
        if latent is None:
            return
        yield record_of(chunk, latent, continuation.frontier.run_start)


def resume(continuation: Continuation, finished: int, cache: EngineCache) -> Continuation:
    """The same run, taken up at the latest remembered frontier in which chunk `finished` is not yet done."""
    for count in range(len(continuation.entering), 0, -1):
        remembered = cache.frontiers.get(continuation.entering[count - 1].key)
        if remembered is not None and remembered.oldest <= finished:
            return Continuation(remembered, continuation.entering[count:])
    return continuation


def begun_again(state: SamplerState) -> list[Entering]:
    """Chunks in flight as they were before their first step, for a run that cannot take them over."""
    return [
        Entering(
            chunk.chunk,
            chunk.text,
            chunk.prompt,
            chunk.seed,
            kv_ranges=chunk_ranges(chunk.transition, chunk.kv_ranges, state.settings),
            transition=chunk.transition,
            special_tokens=chunk.special_tokens,
        )
        for chunk in state.pending
    ]


def record_of(chunk: Entering, latent: Tensor, run_start: int) -> ChunkRecord:
    names = ("prompt", "seed", "key", "transition", "kv_ranges", "special_tokens")
    return ChunkRecord(chunk.chunk, latent, run_start=run_start, **{name: getattr(chunk, name) for name in names})
