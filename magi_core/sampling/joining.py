"""Telling, while a second pass runs, that a motion ends elsewhere than what is kept after it begins.

A chunk that is tied less than the next one is free to go where its words lead; the next one begins where the source
has it. What the first is heading for after its first free step shows early whether the two meet: its end is laid over
the end that the source has there, and over the beginning of the next, and must be near one of them. Where the next is
released before looks are settled it is lit anew as well, and may still follow: then the source tells nothing, and the
two are compared when the next has taken its own first free step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.sampling.events import Denoising, Stepped
from magi_core.sampling.extension import Extension, NewChunk, Recalled
from magi_core.sampling.timesteps import timesteps
from magi_core.state import ChunkRecord
from magi_core.story.transitions import ELSEWHERE

LOOKS = 0.25
"""Timestep up to which a chunk has to be free for its looks to change."""
APART = 1 / 16
"""Share of the picture's shorter side by which what stands out has to move, on average, for two frames not to join."""


@dataclass(frozen=True, eq=False)
class _Border:
    """Between a chunk and the one after it. looked_at: at which of them, when it has come past timestep `after`.
    sides: the frames that the source has on either side; none where both are compared as they come. kept: the one after
    it is."""

    index: int
    looked_at: int
    after: float
    sides: tuple[Tensor, ...]
    kept: bool


class Joining:
    """Looks once at every border of an extension behind which a chunk is tied more than the one before it.

    remembered: what is to be told before it runs, of chunks that are there already: a run that was broken off made
    them, and may have told it then.
    """

    def __init__(self, extension: Extension) -> None:
        new = extension.new
        borders = (_border(new[i], new[i + 1], extension) for i in new if i + 1 in new)
        self._waiting = {border.index: border for border in borders if border is not None}
        self._heading: dict[int, Callable[[], Tensor]] = {}
        recalled = [part.record for part in extension.parts if isinstance(part, Recalled)]
        there = [record for record in recalled if extension.new[record.index].kept is None]
        self.remembered = self._looked(map(_at_rest, there))

    def seen(self, event: Stepped) -> tuple[str, ...]:
        """What is to be told after this step."""
        return self._looked(event.in_flight)

    def _looked(self, chunks: Iterable[Denoising]) -> tuple[str, ...]:
        notes = []
        for chunk in chunks:
            if chunk.index in self._waiting:
                self._heading[chunk.index] = chunk.clean_estimate
            for border in [b for b in self._waiting.values() if b.looked_at == chunk.index and chunk.t > b.after]:
                if self._waiting.pop(border.index, None) is not None and self._apart(border, chunk):
                    notes.append(_in_words(border))
                    self._forget_from(border.index + 1)
        return tuple(notes)

    def _apart(self, border: _Border, chunk: Denoising) -> bool:
        heading = self._heading.pop(border.index, None)
        if heading is None:  # it was finished before
            return False
        sides = border.sides or (chunk.clean_estimate()[:, 0],)
        end = heading()[:, -1]
        if any(frame.is_meta for frame in (end, *sides)):  # a plan without numbers
            return False
        return min(displacement(end, side) for side in sides) > APART * min(end.shape[1:])

    def _forget_from(self, index: int) -> None:
        """What comes right behind a border that does not join is one thing with it, and told with it."""
        while self._waiting.pop(index, None) is not None:
            index += 1


def _at_rest(record: ChunkRecord) -> Denoising:
    """A finished chunk as one that has come to its end."""
    return Denoising(record.index, record.key, 0, 1.0, lambda: record.latent)


def _border(chunk: NewChunk, behind: NewChunk, extension: Extension) -> _Border | None:
    """The border between two chunks, where it may fail to join."""
    if chunk.kept is not None or behind.source is None or behind.at.spec.transition in ELSEWHERE:
        return None
    settings, take = extension.begun.settings, extension.source
    grid = [float(t) for t in timesteps(settings.steps, settings.shortcut)]
    free, tied = chunk.sight.release, behind.source.release
    assert free is not None, "a chunk that is never free is kept"
    if tied is not None and tied <= free:
        return None
    index = chunk.at.index
    if tied is not None and grid[tied] < LOOKS:
        return _Border(index, index + 1, grid[tied], (), kept=False)
    sides = [behind.source.record.latent[:, 0]]
    if take is not None and index < take.finished:
        sides.append(take.chunk_latent(index)[:, -1])
    return _Border(index, index, grid[free], tuple(sides), kept=tied is None)


def displacement(frame: Tensor, other: Tensor) -> float:
    """How far what stands out in one latent frame [C, h, w] has to move, on average and in places of it, to be where
    it is in the other: the earth mover's distance along rows and along columns, put together as sides of a triangle.

    What stands out is how far a place is from the frame's median, so that another colour or light at the same place
    counts little.
    """
    apart = _standing_out(frame) - _standing_out(other)
    along = [apart.sum(dim=dim).cumsum(0).abs().sum() for dim in (0, 1)]
    return float(torch.stack(along).norm())


def _standing_out(frame: Tensor) -> Tensor:
    """[h, w], sum 1."""
    latent = frame.detach().to("cpu", torch.float32)
    median = latent.flatten(1).median(dim=1).values
    distance = (latent - median[:, None, None]).norm(dim=0)
    above = (distance - distance.median()).clamp(min=0)
    return above / above.sum().clamp(min=1e-6)


def _in_words(border: _Border) -> str:
    index = border.index
    stays = "stays as it was" if border.kept else "is held close to the take"
    other = "make the chunks from {} on anew too" if border.kept else "give the chunks from {} on a higher strength"
    return (
        f"chunk {index} is heading elsewhere than chunk {index + 1} begins, which {stays}: expect a jump there. Use a "
        f"lower strength or a motion that leads back, or {other.format(index + 1)}"
    )
