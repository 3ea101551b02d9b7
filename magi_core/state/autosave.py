"""Keep a take on disk while it is being made: a crash loses at most the chunks in flight."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from magi_core.errors import MagiError
from magi_core.state.chunk import ChunkRecord
from magi_core.state.save import FORMAT, HEAD, PREFIX, chunk_file, given_tensors, parts_folders, save_state, write_part
from magi_core.state.serialise import Tensors, Words, chunk_parts, head_parts
from magi_core.state.state import SamplerState
from magi_core.writing.claim import Claim
from magi_core.writing.failure import cannot_write
from magi_core.writing.replacing import discard, is_own


class Autosave:
    """Writes a growing take to a folder beside `path`, chunk by chunk, and to `path` itself when it is done.

    With it goes what the run still had to do, so that a killed one can go on as if nothing had happened.

        with Autosave("take.magi") as saved:
            for state in engine.stream(begun, storyboard):
                saved.write(state)

    What one `write` costs does not depend on the take's length: new chunks get a file each, and a small one with the
    rest is replaced whole. `load_state(path)` reads the folder while it is there. Leaving the block, by an error too,
    makes the one file of what was written; `all_frontiers` as in `SamplerState.save`.
    path: or the `Claim` on it. older: the take at `path` that this one makes again, see `place_for`; it stays until as
    many chunks are finished. Raises `MagiError` where another run writes a take of this name, and where a file or
    a link has the name of the folder.
    """

    def __init__(
        self, path: str | Path | Claim, *, all_frontiers: bool = False, older: SamplerState | None = None
    ) -> None:
        self._claim = Claim(path, "the take")
        self.path, self.all_frontiers, self.older = self._claim.path, all_frontiers, older
        self._folder, self._before = parts_folders(self.path)
        for folder in (self._folder, self._before):
            if (folder.exists() or folder.is_symlink()) and not is_own(folder):
                self._claim.release()
                raise MagiError(f"{folder} is in the way: it is no folder. Move it away, or choose another name")
        self._written: dict[int, ChunkRecord] = {}
        self._latest: SamplerState | None = None

    def write(self, state: SamplerState) -> None:
        """Bring the folder up to `state`. Raises `MagiError` where there is no room or no right to write."""
        if self.older is not None and state.finished < self.older.finished:
            return  # what is there holds all of it, and more
        first = self._latest is None
        if first and (self._folder / HEAD).is_file():  # of a take that was broken off, perhaps the one going on now
            discard(self._before, self.path)
            try:
                self._folder.rename(self._before)
            except OSError as error:  # Windows, while another program reads it
                raise cannot_write("the take", self.path, error, f"{self._folder} is as it was") from None
        if not first and not (self._folder / HEAD).is_file():  # removed by somebody: all of it once more
            self._written.clear()
            first = True
        given = given_tensors(state)
        if first and given:
            self._write(PREFIX, {}, given)
        for record in state.chunks:
            if self._written.get(record.index) is not record:
                words, tensors = chunk_parts(record)
                self._write(chunk_file(record.index), words, tensors)
                self._written[record.index] = record
        words, tensors = head_parts(state)
        place = {"first_chunk": state.first_chunk, "finished": state.finished, "has_prefix": bool(given)}
        self._write(HEAD, {**place, **words}, tensors)
        self._latest = state
        if first:
            discard(self._before, self.path)

    def close(self) -> None:
        """Make the one file of what was written last, and let the name go."""
        try:
            if self._latest is not None:
                whole = self._latest if self.all_frontiers else replace(self._latest, frontiers=())
                save_state(whole, self._claim, remains=self._remains())
                self._latest = None
                self._written.clear()
            elif not (self._folder / HEAD).is_file():  # the first write failed, or there was none
                discard(self._folder, self.path)
                with suppress(OSError):
                    self._before.rename(self._folder)
        finally:
            self._claim.release()

    def _write(self, name: str, words: Words, tensors: Tensors) -> None:
        write_part(self._folder / name, {"format": FORMAT, **words}, tensors, self._remains())

    def _remains(self) -> str:
        """What there is to go on from."""
        if self._latest is None:
            return "what had this name before is as it was"
        chunks = len(self._latest.chunks)
        return f"its first {chunks} chunks are in {self._folder}, from where {self.path} is read"

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
