"""The storyboard of a take: what was asked of the chunks it holds."""

from __future__ import annotations

from magi_core.state.state import SamplerState
from magi_core.story.storyboard import Storyboard


def story_of(state: SamplerState) -> Storyboard:
    """One entry per generated chunk of `state`, those in flight included; its chunk 0 is the take's first new one."""
    finished, pending = (tuple(chunk.at.spec for chunk in chunks) for chunks in (state.chunks, state.pending))
    return Storyboard(finished + pending)
