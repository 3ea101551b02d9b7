"""Going back to an earlier point of a take, to fork it there."""

from __future__ import annotations

from magi_core.errors import MagiError
from magi_core.state.describe import counted
from magi_core.state.state import SamplerState


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
