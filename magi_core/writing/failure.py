"""Why a file could not be written, in words."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from magi_core.errors import MagiError, echo

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how libraries in Rust end their messages


def cannot_write(what: str, path: Path, error: Exception, remains: str) -> MagiError:
    """The error to raise. what: "the take", "the video". remains: a clause, what is still there to go on from."""
    reason, remedy = _reason(error)
    return MagiError(f"cannot write {what} {path}: {reason}. {remedy}; {remains}")


def _reason(error: Exception) -> tuple[str, str]:
    """What is wrong, and what to do."""
    number = getattr(error, "errno", None)
    if number is None and (found := OS_ERROR.search(str(error))):
        number = int(found[1])
    if number in FULL:
        return "the disk is full, or takes no file of this size", "Make room, or choose another folder"
    if number in FORBIDDEN:
        return f"it is not allowed ({echo(error)})", "Close what has the file open, or choose another folder"
    if number in GONE:
        return "its folder is gone", "Make it again, or choose another folder"
    return echo(error), "Check the folder and the free disk space"
