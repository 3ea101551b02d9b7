"""What a run still had to do when a state was handed out: kept with the take, so that a killed run can go on."""

from __future__ import annotations

from dataclasses import dataclass

from magi_core.state.frontier import Frontier
from magi_core.story.chunk import ChunkSpec


@dataclass(frozen=True, eq=False)
class Unfinished:
    """The rest of a run, beside a state that it had come to.

    frontier: the pipeline at the newest boundary. It presumes no chunk that the state does not hold; of those in flight
    there, the first may be finished in the state. run_start: first chunk of the whole run, which keys are built on.
    to_come: what was asked of the chunks that had not entered. drain, end: as asked, see `Engine.plan`.
    """

    frontier: Frontier
    run_start: int
    to_come: tuple[ChunkSpec, ...] = ()
    drain: bool = True
    end: int | None = None

    def fits(self, finished: int) -> bool:
        """Whether a video of `finished` chunks can go on from the frontier."""
        return self.run_start <= finished and self.frontier.oldest <= finished <= self.frontier.next_chunk

    def asked(self, finished: int) -> tuple[ChunkSpec, ...]:
        """What was asked of every chunk from `finished` on."""
        flying = tuple(chunk.at.spec for chunk in self.frontier.chunks if chunk.index >= finished)
        return flying + self.to_come
