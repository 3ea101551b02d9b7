"""What was read of a file is remembered while the file is the same: lists of models are made again and again."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from magi_core.weights.known import FRESH

T = TypeVar("T")


def while_unchanged(most: int) -> Callable[[Callable[[Path], T]], Callable[[Path], T]]:
    """Decorates what reads a file, whose answers nobody changes. most: files that are remembered.

    A file counts as the same while its path, size, times and inode are. One that was changed a moment ago is read
    again, and so is what could not be read.
    """

    def decorate(read: Callable[[Path], T]) -> Callable[[Path], T]:
        kept = functools.lru_cache(maxsize=most)(lambda file, _: read(file))

        @functools.wraps(read)
        def remembered(file: Path) -> T:
            try:
                seen = os.stat(file)
            except OSError:
                return read(file)  # says what is wrong
            if time.time() - max(seen.st_mtime, seen.st_ctime) < FRESH:
                return read(file)
            return kept(file, (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev))

        return remembered

    return decorate
