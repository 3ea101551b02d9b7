"""Content keys of chunks: what a finished latent depends on, said before it is made.

A chunk depends on the model, the settings and the size, its own text, noise and ranges, and on the chunks that it may
see. Behind a wall it does not depend on what lies before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from magi_core.digest import digest
from magi_core.sampling.window import history_read
from magi_core.state import Frontier, PlacedChunk, SamplerState


@dataclass(frozen=True, eq=False)
class ChunkKeys:
    """Keys of the chunks of one run, one after the other.

    state: the finished chunks before it. base: digest of model, settings and size. frontier: where the run goes on.
    """

    state: SamplerState
    base: str
    frontier: Frontier

    @classmethod
    def of(cls, state: SamplerState, model_key: str, frontier: Frontier) -> ChunkKeys:
        return cls(state, digest("run", model_key, state.settings, state.latent_shape), frontier)

    def chain(self, chunks: list[tuple[PlacedChunk, str, tuple[int, ...] | None]]) -> list[PlacedChunk]:
        """Chunks that enter behind the frontier, with keys. Given with each: the key of its text, its KV ranges."""
        run_start, first = self.frontier.run_start, history_read(self.state.settings, self.frontier.run_start).start
        known = {chunk.index: chunk.key for chunk in self.frontier.chunks}
        sights = {chunk.index: chunk.at.sight for chunk in self.frontier.chunks}
        keyed = []
        for chunk, text_key, ranges in chunks:
            index, sight = chunk.index, chunk.sight
            before = index - 1
            if before >= max(run_start, sight) and self._sight(before, sights) == sight:
                past: object = self._key(before, known)  # which has all that it sees in it
            else:
                past = tuple(self._key(seen, known) for seen in range(max(sight, first), index))
            place = run_start if sight < run_start else "in the run"
            given = self._given(index)
            key = digest("chunk", self.base, index, chunk.seed, text_key, ranges, sight, place, given, past)
            known[index], sights[index] = key, sight
            keyed.append(replace(chunk, key=key))
        return keyed

    def _key(self, index: int, known: dict[int, str]) -> str:
        return known[index] if index in known else self.state.chunk_key(index)

    def _sight(self, index: int, sights: dict[int, int]) -> int:
        return sights[index] if index in sights else self.state.chunk_sight(index)

    def _given(self, index: int) -> str:
        """Digest of given frames that chunk `index` begins with, or ""."""
        return self.state.prefix_key if index == self.state.first_chunk and self.state.anchor is not None else ""
