"""What was read of files is remembered while they are the same: lists of models are made again and again."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from magi_core.weights.known import FRESH

P = ParamSpec("P")
T = TypeVar("T")
Version = tuple[str | Path, tuple[int, ...]]


def while_unchanged(most: int) -> Callable[[Callable[[Path], T]], Callable[[Path], T]]:
    """Decorates what reads a file, whose answers nobody changes. most: files that are remembered.

    A file counts as the same while its path, size, times and inode are. One that was changed a moment ago is read
    again, and so is what could not be read.
    """
    return while_all_unchanged(most, lambda file: [file])


def while_all_unchanged(
    most: int, files: Callable[..., Iterable[str | Path]], sound: Callable[[Any], bool] = lambda _: True
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates what reads several files. most: answers that are remembered.

    files: all that an answer depends on, by the same arguments, in an order of their own; asked every time, so it may
    look into folders, and what it names need not be there. sound: whether an answer may be remembered.
    """

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        kept: dict[tuple[object, ...], tuple[tuple[Version, ...], T]] = {}

        @functools.wraps(read)
        def remembered(*given: P.args, **named: P.kwargs) -> T:
            key, seen = (given, *sorted(named.items())), tuple(map(_version, files(*given, **named)))
            known = kept.get(key)
            if known is not None and known[0] == seen:
                return known[1]
            answer = read(*given, **named)
            kept.pop(key, None)
            if sound(answer) and not any(map(_fresh, seen)):
                kept[key] = seen, answer
                for oldest in list(kept)[:-most]:
                    kept.pop(oldest, None)
            return answer

        return remembered

    return decorate


def _version(file: str | Path) -> Version:
    try:
        about = os.stat(file)
    except (OSError, ValueError):  # reading it says what is wrong
        return file, ()
    return file, (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_dev)


def _fresh(version: Version) -> bool:
    """Whether the file may change again without its times showing it."""
    _, about = version
    return bool(about) and time.time() - max(about[1:3]) / 1e9 < FRESH
