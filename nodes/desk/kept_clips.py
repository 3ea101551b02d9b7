"""Clips of chunks that a saved take holds, kept from one start to the next: ComfyUI empties its temporary folder.

They lie in the user folder by the key of their chunk, bounded in number and bytes, the oldest go; and are put back
where pages can play them when somebody asks for them. No model takes part.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from magi_core.writing.replacing import Replacement

from ..host.user_folder import kept_in
from .clips import clip_path, has_clip

NAME = re.compile(r"([0-9a-f]{64})\.(magi_[0-9a-f]{32}\.mp4)")
MOST, MOST_BYTES = 4000, 1 << 30
MOST_COPIED = 64 << 20  # bytes for one question, where files cannot be linked


class KeptClips:
    """folder: see the module. Used under the desk's lock."""

    def __init__(self, folder: Callable[[], Path] = lambda: kept_in("desk", "clips")) -> None:
        self._folder = folder
        self._changed: int | None = None
        self._names: dict[str, str] = {}

    def keep(self, clips: Iterable[tuple[str, str]]) -> None:
        """Keep the clips of these chunks: key and name, of a file that is there."""
        known, kept = self._known(), False
        for key, name in clips:
            if known.get(key) != name and NAME.fullmatch(f"{key}.{name}") and has_clip(name):
                kept |= _same_file(clip_path(name), self._folder() / f"{key}.{name}", MOST_BYTES) is not None
        if kept:
            self._thin_out()

    def put_back(self, keys: Iterable[str]) -> dict[str, str]:
        """Names by key of those that are kept, which can be played now."""
        known, found, room = self._known(), {}, MOST_COPIED
        for key in keys:
            name = known.get(key)
            if name is None:
                continue
            if not has_clip(name):
                copied = _same_file(self._folder() / f"{key}.{name}", clip_path(name), room)
                if copied is None:
                    continue
                room -= copied
            found[key] = name
        return found

    def _known(self) -> dict[str, str]:
        """Names by key; looked up when the folder has changed."""
        try:
            changed = os.stat(self._folder()).st_mtime_ns
        except OSError:
            return {}
        if changed != self._changed:
            with suppress(OSError):
                found = filter(None, (NAME.fullmatch(entry.name) for entry in os.scandir(self._folder())))
                self._changed, self._names = changed, {match[1]: match[2] for match in found}
        return self._names

    def _thin_out(self) -> None:
        """Remove the oldest beyond what is kept."""
        with suppress(OSError):
            entries = [entry for entry in os.scandir(self._folder()) if NAME.fullmatch(entry.name)]
            files = sorted(((entry.stat(follow_symlinks=False), entry.path) for entry in entries), key=_age)
            left, room = len(files), sum(there.st_size for there, _ in files)
            for there, path in files:
                if left <= MOST and room <= MOST_BYTES:
                    break
                left, room = left - 1, room - there.st_size
                with suppress(OSError):
                    os.unlink(path)


def _age(file: tuple[os.stat_result, str]) -> int:
    return file[0].st_mtime_ns


def _same_file(source: Path, target: Path, room: int) -> int | None:
    """Give `source` another name, or copy it where that cannot be and it has at most `room` bytes: the bytes that were
    copied, or None where it could not be done."""
    try:
        there = os.lstat(source)
        if not stat.S_ISREG(there.st_mode):
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            os.link(source, target, follow_symlinks=False)
            return 0
        if os.path.isfile(target):
            return 0
        if there.st_size > room:
            return None
        made = Replacement(target, "a clip")
        try:
            shutil.copyfile(source, made.part, follow_symlinks=False)
            made.keep()
        finally:
            made.drop()
        return there.st_size
    except (OSError, ValueError):  # MagiError: no room for it
        return None
