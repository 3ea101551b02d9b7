"""A disk that becomes full at a certain write: the limit that the system puts on the size of files, so that it is the
system that refuses, to every library alike."""

from __future__ import annotations

import resource
from typing import Any

from magi_core.video.recording import VideoRecording
from magi_core.writing.replacing import Replacement


class FullDisk:
    """From its `number`-th write on (counted from 0), no file of this process takes more than `room` bytes.

    A write is a file that is made for a name, or a chunk that is added to a recording. writes: so far.
    """

    def __init__(self, number: int, room: int = 0) -> None:
        self.number, self.room, self.writes = number, room, 0

    def begin(self) -> None:
        """For the rest of the process."""
        for kind, name in ((Replacement, "__init__"), (VideoRecording, "_append")):
            self._count(kind, name)

    def make_room(self) -> None:
        _limit(resource.RLIM_INFINITY)

    def _count(self, kind: Any, name: str) -> None:
        plain = getattr(kind, name)

        def counted(it: Any, *given: Any, **named: Any) -> Any:
            if self.writes == self.number:
                _limit(self.room)
            self.writes += 1
            return plain(it, *given, **named)

        setattr(kind, name, counted)


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
