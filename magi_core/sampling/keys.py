"""Content keys of chunks: what a finished latent depends on, said before it is made.

A chunk depends on the model, the settings and the size, its own text, noise and ranges, and on the chunks that it may
see. Behind a wall it does not depend on what lies before. In a second pass it depends on its source, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from magi_core.digest import digest
from magi_core.sampling.extension import NewChunk
from magi_core.sampling.window import history_read
from magi_core.state import Frontier, PlacedChunk, SamplerState
from magi_core.state.chunk import Source
from magi_core.state.frontier import finished_and_read, frontier_key


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
        settings = state.settings
        draft = () if settings.draft == "off" else ("draft", settings.draft)
        return cls(state, digest("run", model_key, settings, state.latent_shape, *draft), frontier)

    def chain(self, chunks: list[tuple[PlacedChunk, str, tuple[int, ...] | None, Source | None]]) -> list[PlacedChunk]:
        """Chunks that enter behind the frontier, with keys. Given with each: the key of its text, its KV ranges, its
        source."""
        run_start, first = self.frontier.run_start, history_read(self.state.settings, self.frontier.run_start).start
        known = {chunk.index: chunk.at.key for chunk in self.frontier.chunks}
        if self.frontier.last:
            known[self.frontier.next_chunk - 1] = self.frontier.last
        sights = {chunk.index: chunk.at.sight for chunk in self.frontier.chunks}
        across = _Across()
        keyed = []
        for chunk, text_key, ranges, source in chunks:
            index, sight = chunk.index, chunk.sight
            before = index - 1
            if before < max(run_start, sight):
                past: object = tuple(self._key(seen, known) for seen in range(max(sight, first), index))
            elif self._sight(before, sights) == sight:
                past = self._key(before, known)  # which has all that it sees in it
            else:
                past = across.keys(max(sight, first), index, lambda seen: self._key(seen, known))
            place = run_start if sight < run_start else "in the run"
            given = self._given(index)
            own = (index, chunk.seed, text_key, ranges, sight, place, given, past)
            tie = () if source is None else ("source", source.record.key, source.release)
            key = digest("chunk", self.base, *own, *tie)
            known[index], sights[index] = key, sight
            keyed.append(replace(chunk, key=key))
        return keyed

    def _key(self, index: int, known: dict[int, str]) -> str:
        if index in known:
            return known[index]
        in_run = index >= self.frontier.run_start
        return self.state.flown_key(index) if in_run else self.state.chunk_key(index)

    def _sight(self, index: int, sights: dict[int, int]) -> int:
        return sights[index] if index in sights else self.state.chunk_sight(index)

    def _given(self, index: int) -> str:
        """Digest of given frames that chunk `index` begins with, or ""."""
        return self.state.prefix_key if index == self.state.first_chunk and self.state.anchor is not None else ""


class _Across:
    """Digests of the keys of chunks in a row, for chunks that look past a wall: every key is taken in once."""

    def __init__(self) -> None:
        self._sofar: dict[int, tuple[int, str]] = {}  # by the first: where it ends, its digest

    def keys(self, first: int, stop: int, key: Callable[[int], str]) -> str:
        """Of chunks `first` to `stop` (exclusive). Asked for rising ends."""
        end, sofar = self._sofar.get(first, (first, ""))
        for index in range(end, stop):
            sofar = digest(sofar, key(index))
        self._sofar[first] = stop, sofar
        return sofar


def planned_frontier_key(state: SamplerState, new: Mapping[int, NewChunk], count: int, run_start: int) -> str:
    """Key of the frontier before chunk `count` in a run from `run_start` on, of chunks finished in `state` and `new`
    ones."""

    def flown(index: int) -> str:
        return new[index].at.key if index in new else state.flown_key(index)

    return _frontier_key(state, new, count, run_start, flown)


def frontier_keys(state: SamplerState, count: int, run_start: int) -> tuple[str, ...]:
    """The same for a point of `state`: keys by which a run that it comes from may have kept the frontier.

    First that of the run that made its last chunks, then that of a second pass which left them as they were.
    """
    keys = (_frontier_key(state, {}, count, run_start, name) for name in (state.chunk_key, state.flown_key))
    return tuple(dict.fromkeys(keys))


def _frontier_key(
    state: SamplerState, new: Mapping[int, NewChunk], count: int, run_start: int, flown: Callable[[int], str]
) -> str:
    def key(index: int) -> str:
        return new[index].key if index in new else state.chunk_key(index)

    def sight(index: int) -> int:
        return new[index].at.sight if index in new else state.chunk_sight(index)

    flying = range(max(run_start, count - state.settings.window + 1), count)
    read = finished_and_read(state.settings, flying, count, sight)
    return frontier_key(count, [key(index) for index in read], [flown(index) for index in flying], flown(count - 1))
