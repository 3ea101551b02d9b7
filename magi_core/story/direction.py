"""From prompts and storyboards to the chunks that enter a run: text, seed and attention of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError
from magi_core.state import Entering, SamplerState
from magi_core.story.storyboard import Storyboard, StoryChunk
from magi_core.story.transitions import chunk_ranges
from magi_core.text.chunk_text import ChunkTexts, Prompt
from magi_core.text.conditioning import PromptEmbedding
from magi_core.text.special_tokens import MAX_DURATION


@dataclass(frozen=True, eq=False)
class DirectedPrompt:
    """A chunk of a storyboard with its prompt encoded."""

    chunk: StoryChunk
    text: PromptEmbedding

    @property
    def prompt(self) -> str:
        return self.text.prompt

    @property
    def held(self) -> DirectedPrompt:
        """A chunk after it that nothing is said about: see `StoryChunk.held`."""
        return DirectedPrompt(self.chunk.held, self.text)


Direction = Prompt | StoryChunk | DirectedPrompt
"""What is said about one chunk."""

Directions = Direction | Sequence[Direction] | Storyboard
"""What is said about the new chunks: one thing for all of them, or one each."""


def per_chunk(directions: Directions, chunks: int = 1) -> list[Direction]:
    """One direction per chunk; of one for all, a transition is for the first chunk alone, as on a storyboard's line.

    chunks: how many share one direction; several directions bring their own count, which `chunks` above 1 must be.
    Raises `MagiError` where the two do not fit.
    """
    if chunks < 1:
        raise MagiError(f"chunks must be at least 1: {chunks}")
    if isinstance(directions, Direction):
        return [directions, *[_going_on(directions)] * (chunks - 1)]
    each = list(directions.chunks if isinstance(directions, Storyboard) else directions)
    if not each:
        raise MagiError("there is no prompt: give one for all chunks, or one per chunk")
    if chunks not in (1, len(each)):
        raise MagiError(f"{len(each)} prompts for {chunks} chunks: give one prompt for all, or one per chunk")
    return each


def check_ranges(directions: Sequence[Direction], settings: SamplingSettings) -> None:
    """Raise `MagiError` for transitions and KV ranges that `settings` have no room for."""
    for index, direction in enumerate(directions):
        story = _story(direction)
        try:
            chunk_ranges(story.transition, story.kv_ranges, settings)
        except MagiError as error:
            raise MagiError(f"chunk {index} of these {len(directions)}: {error}") from None


def encode_directions(directions: Sequence[Direction], texts: ChunkTexts) -> list[DirectedPrompt]:
    """All prompts encoded, equal ones once: they share one embedding."""
    encoded: dict[str, PromptEmbedding] = {}

    def directed(direction: Direction) -> DirectedPrompt:
        if isinstance(direction, DirectedPrompt):
            return direction
        prompt = direction.prompt if isinstance(direction, StoryChunk) else direction
        if isinstance(prompt, str):
            if prompt not in encoded:
                encoded[prompt] = texts.encode(prompt)
            prompt = encoded[prompt]
        return DirectedPrompt(_story(direction), prompt)

    return [directed(direction) for direction in directions]


def entering_chunks(state: SamplerState, prompts: Sequence[DirectedPrompt], texts: ChunkTexts) -> list[Entering]:
    """New chunks of `state` before their first step, from its next chunk on. Equal texts are one tensor."""
    assembled: dict[tuple[object, ...], Tensor] = {}
    entering = []
    for index, prompt in enumerate(prompts, start=state.next_chunk):
        story, settings = prompt.chunk, state.settings
        to_come = None if state.total_chunks is None else state.total_chunks - (index - state.first_chunk)
        key = (id(prompt.text), story.special_tokens, None if to_come is None else min(to_come, MAX_DURATION))
        if key not in assembled:
            assembled[key] = texts.of_chunk(settings, prompt.text, to_come, story.special_tokens)
        entering.append(
            Entering(
                index,
                assembled[key],
                prompt.prompt,
                state.seed + story.seed_offset,
                kv_ranges=chunk_ranges(story.transition, story.kv_ranges, settings),
                transition=story.transition,
                special_tokens=story.special_tokens,
            )
        )
    return entering


def _story(direction: Direction) -> StoryChunk:
    if isinstance(direction, DirectedPrompt):
        return direction.chunk
    if isinstance(direction, StoryChunk):
        return direction
    return StoryChunk(direction.prompt if isinstance(direction, PromptEmbedding) else direction)


def _going_on(direction: Direction) -> Direction:
    if isinstance(direction, DirectedPrompt):
        return DirectedPrompt(direction.chunk.going_on, direction.text)
    return direction.going_on if isinstance(direction, StoryChunk) else direction
