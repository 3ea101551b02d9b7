"""Claims: a name that is being written belongs to one writer, until it is done or dies.

A claim is an advisory lock of the operating system on an empty file beside the output, `.NAME.magi-lock`. The lock
dies with its process, however that ends, so no claim is ever stale; the empty file that a killed process leaves is
taken away by the next claim in that folder, with the temporary files of that name. A file system without locks (some
network drives) grants every claim: files still are whole there, by their exclusive temporary names.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from magi_core.errors import MagiError
from magi_core.writing.failure import cannot_write
from magi_core.writing.replacing import AS_BEFORE, remove_parts

SUFFIX = ".magi-lock"
HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
PATIENCE, PAUSE = 0.3, 0.01  # seconds: whoever clears up holds a dead writer's lock for a moment


class Claim:
    """The right to write `path`, held until `release`, the end of the `with` block, or of the process.

    path: a name, whose folder is made if missing; or a claim, within which this one costs nothing and lets nothing go:
    what writes takes either, and its caller may have claimed the name long before.
    what: for messages, "the take", "the video".
    Raises `MagiError` where another writer, of this process or another one, holds the name.
    """

    def __init__(self, path: str | Path | Claim, what: str = "the file") -> None:
        self.path: Path = path.path if isinstance(path, Claim) else Path(path)
        self._let_go: Callable[[], object] = _nothing
        if not isinstance(path, Claim):
            self._take(what)

    def _take(self, what: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_file(self.path)
            held = _waited_for(lock)
        except OSError as error:
            raise cannot_write(what, self.path, error, AS_BEFORE) from error
        if held is None:
            raise MagiError(
                f"{what} {self.path} is being written by another run: wait until that is done, or choose another name"
            )
        self._let_go = weakref.finalize(self, partial(_let_go, held, lock, os.getpid()))
        with suppress(OSError):
            _sweep(lock.parent)

    def release(self) -> None:
        self._let_go()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_claimed(path: Path) -> bool:
    """Whether somebody is writing `path` right now."""
    try:
        Claim(path).release()
    except MagiError:
        return True
    return False


def _lock_file(path: Path) -> Path:
    """One file for all ways to say a path; a link is a name of its own, since writing replaces the link."""
    return path.parent.resolve() / f".{path.name}{SUFFIX}"


def _waited_for(lock: Path) -> int | None:
    """`_taken`, made if missing, with a little patience."""
    last = time.monotonic() + PATIENCE
    while (held := _taken(lock, make=True)) is None and time.monotonic() < last:
        time.sleep(PAUSE)
    return held


def _taken(lock: Path, *, make: bool) -> int | None:
    """The locked file's descriptor, or None where another has it, or has just let it go."""
    descriptor = os.open(lock, os.O_RDWR | (os.O_CREAT if make else 0), 0o666)
    try:
        if _locked(descriptor) and os.path.samestat(os.fstat(descriptor), os.stat(lock)):
            return descriptor
    except FileNotFoundError:  # its holder took it away between our two looks
        pass
    os.close(descriptor)
    return None


def _nothing() -> None:
    pass


def _let_go(descriptor: int, lock: Path, process: int) -> None:
    if os.getpid() != process:  # a fork's copy
        return
    with suppress(OSError):  # what an interrupt kept the writer from removing
        remove_parts(lock.with_name(lock.name[1 : -len(SUFFIX)]))
    if sys.platform == "win32":  # an open file cannot be removed there, and one that another has opened neither
        os.close(descriptor)
        with suppress(OSError):
            lock.unlink()
        return
    with suppress(OSError):
        lock.unlink()  # while it is held: who waits for it sees that it is no longer the one
    _unlock(descriptor)
    os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Take away what killed writers left in a folder."""
    for lock in [entry for entry in folder.iterdir() if entry.name.endswith(SUFFIX) and entry.name.startswith(".")]:
        try:
            held = _taken(lock, make=False)
        except OSError:
            continue
        if held is not None:
            _let_go(held, lock, os.getpid())


if sys.platform == "win32":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        """Lock without waiting; False where another has it."""
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in HELD:
                return False
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        """Lock without waiting; False where another has it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD:
                return False
        return True

    def _unlock(descriptor: int) -> None:
        """At once, though a forked process may hold a copy of the descriptor."""
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
