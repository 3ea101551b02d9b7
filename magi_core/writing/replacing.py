"""Files that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from magi_core.writing.failure import cannot_write

AS_BEFORE = "what had this name before is as it was"


class Replacement:
    """A new file for a name: `keep` gives it the name, `drop` leaves what had it before.

    part: where to write. It is in a new folder beside `path`, so that libraries with temporary files of their own make
    them there. what, remains, errors: see `replacing`.
    """

    def __init__(
        self, path: Path, what: str, *, remains: str = AS_BEFORE, errors: tuple[type[Exception], ...] = ()
    ) -> None:
        self.path, self.what, self.remains = path, what, remains
        self.errors: tuple[type[Exception], ...] = (OSError, *errors)
        self._folder = _part(path)
        self.part = self._folder / path.name
        with self.guarded():
            self._folder.mkdir(parents=True)  # with a folder that was removed in the meantime

    def keep(self) -> None:
        """Give it the name, once it is on the disk."""
        with self.guarded():
            with self.part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.part, self.path)
        self.drop()

    def drop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong with the file in here is told as a `MagiError`."""
        try:
            yield
        except self.errors as error:
            raise cannot_write(self.what, self.path, error, self.remains) from error


@contextmanager
def replacing(
    path: Path, what: str, *, remains: str = AS_BEFORE, errors: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """Yields where to write what replaces `path` when the body ends; when it raises, nothing stays.

    what, remains: for the `MagiError` that `OSError`, and `errors` of the library that writes, become: see
    `cannot_write`.
    """
    made = Replacement(path, what, remains=remains, errors=errors)
    try:
        with made.guarded():
            yield made.part
        made.keep()
    finally:
        made.drop()


def discard(folder: Path, path: Path) -> None:
    """Remove a folder that belongs to `path`: at one stroke for all who look, whatever happens while it is emptied.

    Anything else of that name stays.
    """
    if not is_own(folder):
        return
    away = _part(path)
    try:
        folder.rename(away)
    except OSError:  # there is none; or Windows, while another program reads it
        away = folder
    shutil.rmtree(away, ignore_errors=True)


def remove_parts(path: Path) -> None:
    """Remove what writers of `path` that were killed have left. Nobody may be writing it."""
    left = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part")
    for folder in [entry for entry in path.parent.iterdir() if left.fullmatch(entry.name) and is_own(entry)]:
        shutil.rmtree(folder, ignore_errors=True)


def is_own(folder: Path) -> bool:
    """Whether a folder of ours can be at this place: a link leads to somebody else's, opening a pipe waits for ever."""
    return folder.is_dir() and not folder.is_symlink()


def _part(path: Path) -> Path:
    """A name beside `path` that nobody has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
