"""The storyboard of a take: what was asked of the chunks it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from magi_core.state.state import SamplerState
from magi_core.story.chunk import ChunkSpec
from magi_core.story.storyboard import Storyboard


def story_of(state: SamplerState) -> Storyboard:
    """One entry per generated chunk of `state`, those in flight included; its chunk 0 is the take's first new one."""
    finished, pending = (tuple(chunk.at.spec for chunk in chunks) for chunks in (state.chunks, state.pending))
    return Storyboard(finished + pending)


def words_of(take: SamplerState, first: int, stop: int) -> list[ChunkSpec]:
    """What chunks `first` to `stop` (exclusive) of `take` were made from, to make them again; given ones have no words.

    How much of an earlier source they kept is not among it.
    """
    own = {record.index: replace(record.spec, strength=None) for record in take.chunks}
    return [own.get(index, ChunkSpec("")) for index in range(first, stop)]


def told_again(state: SamplerState, specs: Sequence[ChunkSpec]) -> str:
    """A note where the storyboard `specs` is in `state` already, at its start or its end; "" elsewhere."""
    told = [chunk for chunk in story_of(state).chunks]
    count = min(len(specs), len(told))
    if len(specs) < 2 or not count or list(specs[:count]) not in (told[:count], told[-count:]):
        return ""
    return (
        "this storyboard is in the video already and is told a second time: its chunk 0 is the first new one. To go on "
        "with the story, write only what comes next, in another storyboard"
    )
