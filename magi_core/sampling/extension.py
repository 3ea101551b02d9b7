"""An extend as a value: the chunks of the longer video, what is known of them, what is to be done, what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from magi_core.dit.memory import SamplingMemory
from magi_core.sampling.cost import Cost, StageCost
from magi_core.sampling.window import Sight, Slot, stages
from magi_core.state import ChunkRecord, Frontier, PlacedChunk, SamplerState
from magi_core.state.chunk import Source
from magi_core.text.chunk_text import AskedText, ChunkText

Kind = Literal["kept", "remembered", "computed"]


@dataclass(frozen=True)
class ChunkFate:
    """One chunk of the longer video.

    kind: "kept", finished before, here or in the source that it is; "remembered", made before by this engine and taken
    from there; "computed".
    """

    index: int
    key: str
    kind: Kind


@dataclass(frozen=True, eq=False)
class NewChunk:
    """A chunk that is asked for: its place, its text before or after encoding, its KV ranges (None: the settings'),
    its source in a second pass. at.key: what it is known by while in flight."""

    at: PlacedChunk
    text: AskedText | ChunkText
    ranges: tuple[int, ...] | None
    source: Source | None = None

    @property
    def sight(self) -> Sight:
        return Sight(self.ranges, self.at.sight, 0 if self.source is None else self.source.release)

    @property
    def kept(self) -> ChunkRecord | None:
        """The finished chunk, where a second pass leaves it as it was, with the wall that it has in this run."""
        kept = None if self.source is None else self.source.kept
        return None if kept is None else replace(kept, at=replace(kept.at, wall=self.at.wall), flown=self.at.key)

    @property
    def key(self) -> str:
        """Key of what it becomes."""
        return self.at.key if self.kept is None else self.kept.key


@dataclass(frozen=True, eq=False)
class Recalled:
    """A chunk that is there already: the cache holds it, or a second pass leaves it as it was."""

    record: ChunkRecord


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece that is computed: from `frontier` on, with `entering`. drain: until nothing is in flight."""

    frontier: Frontier
    entering: tuple[NewChunk, ...]
    drain: bool

    @property
    def slots(self) -> list[Slot]:
        return [Slot(chunk.index, chunk.stage) for chunk in self.frontier.chunks]

    @property
    def last(self) -> int:
        """Index of the last chunk in it."""
        return self.frontier.next_chunk + len(self.entering) - 1

    def plan(self, window: int) -> list[tuple[Slot, ...]]:
        """The slots of every stage."""
        plan = list(stages(self.frontier.next_chunk, len(self.entering), window, self.slots))
        return plan if self.drain else plan[: len(self.entering)]


@dataclass(frozen=True, eq=False)
class Extension:
    """What `Engine.plan` answers and `Engine.run` does. It holds what it counts on, so its cost is what is spent.

    given: the state as it came in. begun: with the settings, model and notes of this extend.
    chunks: every chunk of the longer video, given and finished ones included. new: those not finished yet, by index.
    sights: what chunks in the works may see, by index. run_start: first chunk of the run.
    parts: what happens, in order. frontier: the pipeline at the end where that is remembered.
    cost: chunk-forwards; the steps are exact, the pages are if nothing else uses the engine in between.
    stages: the same, stage by stage. need: bytes on the device. streamed_pages: whether K/V pages in use wait in main
    memory. page_budget: bytes of pages that stay on the device, in use or not, from the run's beginning on.
    notes: what is other than asked for. end: see `SamplerState.end`. model_key: of the engine that planned it.
    source: the take that a second pass is made from.
    """

    given: SamplerState
    begun: SamplerState
    chunks: tuple[ChunkFate, ...]
    new: Mapping[int, NewChunk]
    sights: Mapping[int, Sight]
    run_start: int
    parts: tuple[Recalled | Piece, ...]
    drain: bool
    frontier: Frontier | None
    stages: tuple[StageCost, ...]
    need: SamplingMemory
    model_key: str
    streamed_pages: bool = False
    page_budget: int = 0
    end: int | None = None
    source: SamplerState | None = None

    @property
    def cost(self) -> Cost:
        return sum((stage.cost for stage in self.stages), Cost())

    @property
    def forwards(self) -> int:
        """Model calls of the loop, guidance passes counted as one."""
        return sum(stage.forwards for stage in self.stages)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.begun.notes[len(self.given.notes) :]

    def sight(self, index: int) -> Sight:
        """What chunk `index` may see, finished or new."""
        return self.sights[index] if index in self.sights else Sight(first=self.begun.chunk_sight(index))

    def key(self, index: int) -> str:
        """Content key of chunk `index`, finished or new."""
        new = self.new.get(index)
        return new.key if new is not None else self.begun.chunk_key(index)
