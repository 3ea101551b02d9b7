"""What a second pass over a take comes to: for a run of its nodes, and for whoever wants to know before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.sampling.handoff import differences
from magi_core.sampling.retouch import check_places, retouched
from magi_core.state.story import words_of
from magi_core.story.chunk import checked_strength
from magi_core.story.direction import DirectedPrompt, spec_of, with_spec
from magi_core.text import PromptEmbedding

from ..wires import Prompt, Prompts
from .sampling_run import Planning

if TYPE_CHECKING:
    from magi_core.engine import Engine
    from magi_core.state import SamplerState
    from magi_core.story.chunk import ChunkSpec
    from magi_core.story.direction import Direction

Said = Prompt | Prompts | None
"""What is said about the chunks that are made anew; None: what the take says of them itself."""


def check_strength(strength: float) -> None:
    checked_strength(strength)


def restyling(engine: Engine, begun: SamplerState, source: SamplerState, said: Said, strength: float) -> Planning:
    """The chunks of `source` made anew from `begun` on, an empty video. engine: reads the take's own words.

    Raises `MagiError` where there is nothing to be made anew, and for words that nothing reads.
    """
    first, stop = begun.finished, source.finished
    if stop <= first:
        raise MagiError("this take has no finished chunk of its own that could be made anew")
    told, notes = _told(engine, said, source, first, stop)
    plan = partial(engine.plan, begun, told, end=source.end, source=source, strength=strength)
    return Planning(plan, told, notes)


def retouching(
    engine: Engine, take: SamplerState, said: Said, *, first: int, last: int, strength: float, join: int, reroll: int
) -> Planning:
    """Chunks `first` to `last` of `take` made anew, those after them kept.

    reroll: added to their own, for other noise; see `ChunkSpec`. engine: its text encoder reads the words of what is
    kept.
    """
    check_places(take, first, last, join)
    told, notes = _told(engine, said, take, first, last + 1)
    if differs := differences(engine, take):
        notes = (*notes, f"these chunks are not made as the take was: {'; '.join(differs)}")
    told = [with_spec(each, _rerolled(spec_of(each), reroll)) for each in told]
    plan = partial(engine.retouch, take, told, first, strength=strength, join=join)
    return Planning(plan, retouched(take, told, first, strength, join), notes)


def _told(
    engine: Engine, said: Said, take: SamplerState, first: int, stop: int
) -> tuple[list[Direction], tuple[str, ...]]:
    """A direction for each of the chunks `first` to `stop` of `take`, and a note where there are more or fewer."""
    count = stop - first
    if said is None:
        return _own_words(engine, words_of(take, first, stop)), ()
    notes = []
    if said.told is not None and said.told != count:
        rest = "the rest is left out" if said.told > count else "its last prompt goes on"
        notes.append(f"{count} chunks are made anew, where the storyboard has {said.told}; {rest}")
    return list(said.for_chunks(count)), tuple(notes)


def _own_words(engine: Engine, specs: Sequence[ChunkSpec]) -> list[Direction]:
    """As the engine's text encoder reads them when it comes to them. None is needed where nothing was said."""
    if engine.text_encoder is not None:
        return list(specs)
    if any(spec.prompt for spec in specs):
        raise MagiError(
            "connect conditioning, for what the chunks become, or text_encoder, which reads the words of the take again"
        )
    nothing = torch.empty(0, engine.dit.config.caption_channels)
    null = PromptEmbedding("", nothing, origin=digest("no words"))
    return [DirectedPrompt(spec, null) for spec in specs]


def _rerolled(spec: ChunkSpec, reroll: int) -> ChunkSpec:
    return replace(spec, seed_offset=spec.seed_offset + reroll)


def reading(engine: Engine, text_encoder: Any) -> Engine:
    """`engine` with the text encoder, if there is one, that reads the words of a take."""
    return engine if text_encoder is None else engine.copy(text_encoder=text_encoder)
