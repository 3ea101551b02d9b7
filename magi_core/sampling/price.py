"""What an extend costs in each of the ways to extend, so that an artist can choose before waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magi_core.engine import Engine
    from magi_core.state import SamplerState

WAYS = {"clean": ("clean", True), "continuous": ("continuous", True), "in flight": ("continuous", False)}
"""Name of a way: its `handoff` and `drain` of `Engine.extend`."""


def extend_costs(engine: Engine, state: SamplerState, chunks: int) -> dict[str, int]:
    """Chunk-forwards of extending `state` by `chunks` chunks, by way; see `Engine.cost`."""
    return {name: engine.cost(state, chunks, handoff=handoff, drain=drain) for name, (handoff, drain) in WAYS.items()}


def cost_in_words(engine: Engine, state: SamplerState, chunks: int, *, handoff: str, drain: bool) -> str:
    """ "31 chunk-forwards (continuous 54, in flight 33)": the way chosen, and what the others would take.

    About 50 letters fit on a node. Where nothing was made before, there is nothing to hand over and no choice to show.
    """
    own = f"{engine.cost(state, chunks, handoff=handoff, drain=drain)} chunk-forwards"
    if state.next_chunk == state.first_chunk:
        return own
    costs = extend_costs(engine, state, chunks)
    others = ", ".join(f"{name} {costs[name]}" for name, way in WAYS.items() if way != (handoff, drain))
    return f"{own} ({others})"
