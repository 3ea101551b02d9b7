"""Going back to an earlier point of a take, to fork it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magi_core.errors import MagiError
from magi_core.state.describe import counted

if TYPE_CHECKING:
    from magi_core.engine import Engine
    from magi_core.state import SamplerState


def rewind(state: SamplerState, chunks: int) -> SamplerState:
    """`state` as it was after its first `chunks` chunks, given ones included; below 0: without so many at its end.

    Chunks in flight count as dropped already. Raises `MagiError` for points this take does not have.
    """
    count = chunks if chunks >= 0 else state.finished + chunks
    if count < state.first_chunk or count > state.finished:
        made = len(state.chunks)
        given = f", of which {state.first_chunk} were given" if state.first_chunk else ""
        use = f"; use {state.first_chunk} to {state.finished}, or -1 to {-made} to count from the end" if made else ""
        raise MagiError(f"cannot go back to {chunks}: this take has {counted(state.finished)}{given}{use}")
    return state.at(count)


def continues_exactly(state: SamplerState, engine: Engine | None = None) -> bool:
    """Whether `handoff="continuous"` goes on from `state` as the run that made it would have.

    engine: the one that will extend it, which may remember what the take does not hold.
    """
    if engine is not None and engine.differences(state):
        return not state.chunks
    if not state.chunks or state.frontier is not None:
        return True
    return engine is not None and state.chunks[-1].key in engine.cache.frontiers


def exactness_in_words(state: SamplerState, engine: Engine | None = None) -> str:
    """What an extend from here can do, for the node."""
    place = counted(state.finished)
    if continues_exactly(state, engine):
        return f"back at {place}: continuous goes on exactly as the long run would have"
    if engine is None:
        return f"back at {place}: continuous is exact if the model still remembers this point (connect it to know)"
    return f"back at {place}: this point is not remembered, so continuous will go on from the finished chunks"
