"""A chunk at its place in a video: asked for, in flight, finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from magi_core.digest import digest
from magi_core.story.chunk import ChunkSpec


@dataclass(frozen=True)
class PlacedChunk:
    """What is asked of one chunk, at its place in a video.

    index: of the chunk in the whole video, given chunks included. spec: what is asked.
    seed: its noise comes from it and the index. wall: first chunk of its shot; chunks before it are out of sight.
    key: digest of everything its finished latent depends on; "" where that is not known.
    """

    index: int
    spec: ChunkSpec
    seed: int
    wall: int = 0
    key: str = ""

    @property
    def sight(self) -> int:
        """First chunk that it may attend to."""
        return 0 if self.spec.echo else self.wall


def placed(specs: Iterable[ChunkSpec], *, index: int, seed: int, wall: int) -> list[PlacedChunk]:
    """Chunks from `index` on, without keys. seed: of the take. wall: of the chunk before the first of them."""
    chunks = []
    for place, spec in enumerate(specs, start=index):
        wall = place if spec.transition == "cut" else wall
        chunks.append(PlacedChunk(place, spec, seed + spec.seed_offset, wall))
    return chunks


@dataclass(frozen=True, eq=False)
class ChunkRecord:
    """One finished chunk.

    latent: [C, 6, h, w] float32 on the CPU; in a chunk that was partly given, the given frames come first.
    run_start: first chunk of the run it was made in. flown: key that it had in a second pass which left it as it was;
    "" where it was in none.
    """

    at: PlacedChunk
    latent: Tensor
    run_start: int = 0
    flown: str = ""

    @property
    def index(self) -> int:
        """Its place in the whole video, given chunks included."""
        return self.at.index

    @property
    def spec(self) -> ChunkSpec:
        return self.at.spec

    @property
    def prompt(self) -> str:
        return self.at.spec.prompt

    @property
    def seed(self) -> int:
        """The take's seed with the chunk's own offset."""
        return self.at.seed

    @cached_property
    def key(self) -> str:
        """Digest of all that the latent depends on, or of the latent itself where that is not known."""
        return self.at.key or digest("latent", self.latent)


@dataclass(frozen=True, eq=False)
class Source:
    """What a chunk of a second pass is made from.

    record: the finished chunk. release: the Euler step from which the chunk is free; before, it is tied: its latent is
    noise and the source's, mixed as the timestep says. None: tied throughout, so that it becomes `record` itself.
    """

    record: ChunkRecord
    release: int | None

    @property
    def kept(self) -> ChunkRecord | None:
        """The chunk itself where it stays as it is."""
        return self.record if self.release is None else None

    @staticmethod
    def line(noise: Tensor, t: Tensor, latent: Tensor) -> Tensor:
        """The latent of a tied chunk at timestep `t`, from its source's, in the dtype and on the device of `noise`."""
        return (1 - t) * noise + t * latent
