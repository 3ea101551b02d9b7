"""Regular files only: opening a pipe waits for ever, a device has no end, a folder is something else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from magi_core.errors import MagiError, echo

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,31}:/")  # a drive letter of Windows is shorter
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def regular_file(path: str | Path, what: str) -> Path:
    """`path`, where there is a regular file; nothing is opened. Links are followed.

    what: what the file should be, for the message ("image"). Raises `MagiError` for anything else.
    """
    text, path = str(path), Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        remote = " (network addresses are not read: download the file first)" if ADDRESS.match(text) else ""
        raise MagiError(f"there is no {what} at {path}: check the path{remote}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        raise MagiError(f"the {what} {echo(str(path))} cannot be opened: {echo(error)}") from None
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in KINDS if is_kind(mode)), "no regular file")
        raise MagiError(f"{path} is {kind}, not {'an' if what[0] in 'aeiou' else 'a'} {what}: give a regular file")
    return path


def possible(path: str | Path, what: str, *, folder: bool = False) -> Path:
    """`path`, whatever is there or nothing; `MagiError` where no file of that name can be asked for at all.

    That is an empty name, one that is too long or has a NUL character, a folder that may not be looked into.
    folder: whether it may be a folder, the current one included.
    """
    if not str(path) or str(path) == "." and not folder:
        raise MagiError(f"the name of the {what} is empty: give a path")
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MagiError(f"the {what} {echo(str(path))} cannot be looked for ({echo(reason, quoted=False)})") from None
    return Path(path)


def open_regular(path: str | Path, what: str) -> BinaryIO:
    """The regular file at `path`, opened for reading bytes. Raises `MagiError` as `regular_file` does."""
    path = regular_file(path, what)
    try:
        return path.open("rb")
    except OSError as error:
        raise MagiError(f"{path} cannot be read: {error.strerror or echo(error)}") from error


def read_bounded(path: str | Path, what: str, limit: int) -> bytes:
    """All bytes of a regular file of at most `limit` bytes; `MagiError` for a larger one, before it is read."""
    with open_regular(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(content) > limit:
        raise MagiError(
            f"{path} is too large for a {what}: {max(size, len(content)):,} bytes, at most {limit:,} are read"
        )
    return content


def read_text(path: str | Path, what: str, limit: int) -> str:
    """The same as text in UTF-8, with or without a byte order mark."""
    try:
        return read_bounded(path, what, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MagiError(f"{path} is no text file in UTF-8 (byte {error.start} is not): save it as UTF-8") from None
