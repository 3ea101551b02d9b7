"""Keep a take on disk while it is being made: a crash loses at most the chunks in flight."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

from magi_core.errors import MagiError, echo
from magi_core.state.chunk import ChunkRecord
from magi_core.state.given_sound import sound_tensors
from magi_core.state.save import FORMAT, HEAD, PREFIX, chunk_file, parts_folders, write_part
from magi_core.state.serialise import chunk_parts, head_parts
from magi_core.state.state import SamplerState


class Autosave:
    """Writes a growing take to a folder beside `path`, chunk by chunk, and to `path` itself when it is done.

    With it goes what the run still had to do, so that a killed one can go on as if nothing had happened.

        with Autosave("take.magi") as saved:
            for state in engine.stream(begun, storyboard):
                saved.write(state)

    What one `write` costs does not depend on the take's length: new chunks get a file each, and a small one with the
    rest is replaced whole. `load_state(path)` reads the folder while it is there. Leaving the block, by an error too,
    makes the one file of what was written; `all_frontiers` as in `SamplerState.save`.
    older: the take at `path` that this one makes again, see `place_for`; it stays until as many chunks are finished.
    """

    def __init__(self, path: str | Path, *, all_frontiers: bool = False, older: SamplerState | None = None) -> None:
        self.path, self.all_frontiers, self.older = Path(path), all_frontiers, older
        self._folder, self._before = parts_folders(self.path)
        self._written: dict[int, ChunkRecord] = {}
        self._latest: SamplerState | None = None

    def write(self, state: SamplerState) -> None:
        """Bring the folder up to `state`. Raises `MagiError` where there is no room or no right to write."""
        if self.older is not None and state.finished < self.older.finished:
            return  # what is there holds all of it, and more
        first = self._latest is None
        if first and (self._folder / HEAD).is_file():  # of a take that was broken off, perhaps the one going on now
            shutil.rmtree(self._before, ignore_errors=True)
            try:
                self._folder.rename(self._before)
            except OSError as error:  # Windows, while another program reads it
                raise MagiError(f"cannot save to {self.path} ({echo(error)}): close what has it open") from None
        if first and state.prefix is not None:
            write_part(self._folder / PREFIX, {"format": FORMAT}, {"prefix": state.prefix} | sound_tensors(state.sound))
        for record in state.chunks:
            if self._written.get(record.index) is not record:
                words, tensors = chunk_parts(record)
                write_part(self._folder / chunk_file(record.index), {"format": FORMAT, **words}, tensors)
                self._written[record.index] = record
        words, tensors = head_parts(state)
        place = {"first_chunk": state.first_chunk, "finished": state.finished, "has_prefix": state.prefix is not None}
        write_part(self._folder / HEAD, {"format": FORMAT, **place, **words}, tensors)
        self._latest = state
        if first:
            shutil.rmtree(self._before, ignore_errors=True)

    def close(self) -> None:
        """Make the one file of what was written last."""
        if self._latest is not None:
            self._latest.save(self.path, all_frontiers=self.all_frontiers)
            self._latest = None
            self._written.clear()

    def __enter__(self) -> Autosave:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except MagiError:
            if error is None:  # what went wrong first matters more; the folder is still there
                raise
