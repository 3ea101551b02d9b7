"""The storyboard of a take: what was asked of the chunks it holds."""

from __future__ import annotations

from magi_core.state import ChunkRecord, InFlight, SamplerState
from magi_core.story.storyboard import Storyboard, StoryChunk


def story_of(state: SamplerState) -> Storyboard:
    """One entry per generated chunk of `state`, those in flight included; its chunk 0 is the take's first new one."""
    return Storyboard(tuple(_story_chunk(chunk, state.seed) for chunk in (*state.chunks, *state.pending)))


def _story_chunk(chunk: ChunkRecord | InFlight, seed: int) -> StoryChunk:
    ranges = chunk.kv_ranges if chunk.transition == "continue" else None
    return StoryChunk(chunk.prompt, chunk.seed - seed, chunk.transition, ranges, chunk.special_tokens)
