"""From prompts and storyboards to what is said about each chunk: its spec and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from magi_core.config import MAX_CHUNKS, SamplingSettings, is_whole
from magi_core.errors import MagiError, echo
from magi_core.story.chunk import ChunkSpec
from magi_core.story.storyboard import Storyboard
from magi_core.story.transitions import chunk_ranges
from magi_core.text.chunk_text import Prompt
from magi_core.text.conditioning import PromptEmbedding


@dataclass(frozen=True, eq=False)
class DirectedPrompt:
    """A chunk of a storyboard with its prompt encoded."""

    spec: ChunkSpec
    text: PromptEmbedding

    @property
    def held(self) -> DirectedPrompt:
        """A chunk after it that nothing is said about: see `ChunkSpec.held`."""
        return DirectedPrompt(self.spec.held, self.text)


Direction = Prompt | ChunkSpec | DirectedPrompt
"""What is said about one chunk."""

Directions = Direction | Sequence[Direction] | Storyboard
"""What is said about the new chunks: one thing for all of them, or one each."""


class Encoding(Protocol):
    """Turns a prompt into its embedding: a text encoder, or what stands around one."""

    def encode(self, prompt: str) -> PromptEmbedding: ...


def per_chunk(directions: Directions, chunks: int = 1) -> list[Direction]:
    """One direction per chunk; of one for all, a transition is for the first chunk alone, as on a storyboard's line.

    chunks: how many share one direction; several directions bring their own count, which `chunks` above 1 must be.
    Raises `MagiError` where the two do not fit.
    """
    if not is_whole(chunks) or not 1 <= chunks <= MAX_CHUNKS:
        raise MagiError(f"chunks must be at least 1, and at most {MAX_CHUNKS:,}: {echo(chunks)}")
    if isinstance(directions, Direction):
        return [directions, *[_going_on(directions)] * (chunks - 1)]
    if not isinstance(directions, Storyboard | Sequence) or isinstance(directions, bytes):
        raise MagiError(f"give a prompt, a list of them, or a storyboard: {echo(directions)}")
    each = list(directions.chunks if isinstance(directions, Storyboard) else directions)
    for direction in each:
        if not isinstance(direction, Direction):
            raise MagiError(f"a chunk's direction is a prompt, in words or encoded, or a ChunkSpec: {echo(direction)}")
    if len(each) > MAX_CHUNKS:
        raise MagiError(f"at most {MAX_CHUNKS:,} chunks at a time: these are {len(each):,}")
    if not each:
        raise MagiError("there is no prompt: give one for all chunks, or one per chunk")
    if chunks not in (1, len(each)):
        raise MagiError(f"{len(each)} prompts for {chunks} chunks: give one prompt for all, or one per chunk")
    return each


def spec_of(direction: Direction) -> ChunkSpec:
    """What is asked of the chunk, its prompt in words."""
    if isinstance(direction, DirectedPrompt):
        return direction.spec
    if isinstance(direction, ChunkSpec):
        return direction
    return ChunkSpec(direction.prompt if isinstance(direction, PromptEmbedding) else direction)


def prompt_of(direction: Direction) -> Prompt:
    """The prompt as it was given: encoded, or in words."""
    if isinstance(direction, DirectedPrompt):
        return direction.text
    return direction.prompt if isinstance(direction, ChunkSpec) else direction


def with_spec(direction: Direction, spec: ChunkSpec) -> Direction:
    """`direction` with `spec` in place of its own; an encoded prompt stays as it is."""
    prompt = prompt_of(direction)
    return DirectedPrompt(spec, prompt) if isinstance(prompt, PromptEmbedding) else spec


def check_ranges(directions: Sequence[Direction], settings: SamplingSettings) -> None:
    """Raise `MagiError` for transitions and KV ranges that `settings` have no room for."""
    for index, spec in enumerate(map(spec_of, directions)):
        try:
            chunk_ranges(spec.transition, spec.kv_ranges, settings)
        except MagiError as error:
            raise MagiError(f"chunk {index} of these {len(directions)}: {error}") from None


def encode_directions(directions: Sequence[Direction], texts: Encoding) -> list[DirectedPrompt]:
    """All prompts encoded, equal ones once: they share one embedding."""
    encoded: dict[str, PromptEmbedding] = {}

    def directed(direction: Direction) -> DirectedPrompt:
        prompt = prompt_of(direction)
        if isinstance(prompt, str):
            if prompt not in encoded:
                encoded[prompt] = texts.encode(prompt)
            prompt = encoded[prompt]
        return DirectedPrompt(spec_of(direction), prompt)

    return [directed(direction) for direction in directions]


def _going_on(direction: Direction) -> Direction:
    if isinstance(direction, DirectedPrompt):
        return DirectedPrompt(direction.spec.going_on, direction.text)
    return direction.going_on if isinstance(direction, ChunkSpec) else direction
