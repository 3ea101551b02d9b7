"""What an extend will do and cost, in words, so that an artist can choose before waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from magi_core.sampling.cost import Cost
from magi_core.sampling.extension import Extension
from magi_core.sampling.plan import plan
from magi_core.sampling.sampler import Sampler
from magi_core.story.direction import Direction

WAYS = {"clean": ("clean", True), "continuous": ("continuous", True), "in flight": ("continuous", False)}
"""Name of a way to extend: its `handoff` and `drain` of `Engine.plan`."""


def other_ways(engine: Sampler, chosen: Extension, directions: Sequence[Direction], handoff: str) -> dict[str, Cost]:
    """What the same chunks would cost in each of the ways that were not `chosen`.

    Empty where nothing was made before: there is nothing to hand over, and no choice.
    """
    state, settings = chosen.given, chosen.begun.settings
    if state.next_chunk == state.first_chunk:
        return {}
    ways = {name: way for name, way in WAYS.items() if way != (handoff, chosen.drain)}
    return {
        name: plan(engine, state, directions, handoff=handoff, drain=drain, settings=settings).cost
        for name, (handoff, drain) in ways.items()
    }


def cost_in_words(cost: Cost, others: Mapping[str, Cost]) -> str:
    """ "31 chunk-forwards (continuous 54, in flight 33)": the way chosen, and what the others would take.

    Pages to make again are counted in. About 50 letters fit on a node.
    """
    own = f"{cost.total} chunk-forwards"
    rest = ", ".join(f"{name} {other.total}" for name, other in others.items())
    return f"{own} ({rest})" if rest else own


def extension_in_words(extension: Extension) -> str:
    """ "chunks 0-5 kept, 6 remembered, 7-9 to make: 43 chunk-forwards"."""
    words = {"kept": "kept", "remembered": "remembered", "computed": "to make"}
    places = []
    for kind, group in groupby(extension.chunks, key=lambda chunk: chunk.kind):
        indices = [chunk.index for chunk in group]
        ends = f"{indices[0]}" if len(indices) == 1 else f"{indices[0]}-{indices[-1]}"
        places.append(f"{ends} {words[kind]}")
    return f"chunks {', '.join(places)}: {cost_in_words(extension.cost, {})}"
