"""Which checkpoints were read whole and found sound, and the digest of what is in them.

Kept in a small file of the user's own, so that loading a model again looks through nothing. A file counts as the same
while its path, size, time of change and inode are. Losing the file, or being unable to write it, costs time only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.inputs.json_text import read_json
from magi_core.writing.replacing import replacing

FOLDER = "MAGI_CACHE"  # environment variable that names another folder
NAME = "weights.json"
MOST = 200  # checkpoints that are remembered
FRESH = 2.0  # seconds: a file changed that lately may change again without its time showing it
WAY = 1  # of making digests; another number forgets all
log = logging.getLogger(__name__)


class Seen:
    """What is known of these tensors of a checkpoint. digest: of their contents, "" where they must be looked through.

    Made before they are read: a file that changes meanwhile is another one the next time.
    """

    def __init__(self, files: Sequence[Path], names: Iterable[str]) -> None:
        self._key = _key(files, names)
        self.digest = _read().get(self._key, "") if self._key else ""

    def remember(self, contents: str) -> None:
        if not self._key:
            return
        known = _read()
        known.pop(self._key, None)
        kept = list(known.items())[-(MOST - 1) :]
        try:
            _write(dict(kept) | {self._key: contents})
        except (OSError, MagiError, RuntimeError) as error:
            log.debug("what was found out about weights is not remembered: %s", error)


def cache_folder() -> Path:
    """Where the engine keeps what it would otherwise find out again. Raises RuntimeError for users without a home."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "magi"


def _key(files: Sequence[Path], names: Iterable[str]) -> str:
    """What the files are known by, or "" where they cannot be told from what they may become."""
    try:
        about = [(str(file), file.stat()) for file in files]
    except OSError:
        return ""
    if any(abs(time.time() - stat.st_mtime) < FRESH for _, stat in about):
        return ""
    places = [(path, stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in about]
    return digest(WAY, sorted(names), places)


def _read() -> dict[str, str]:
    try:
        known = read_json(cache_folder() / NAME, "list of known weights")
    except (MagiError, RuntimeError):
        return {}
    sound = isinstance(known, dict) and all(isinstance(value, str) and len(value) == 64 for value in known.values())
    return known if sound else {}


def _write(known: dict[str, str]) -> None:
    path = cache_folder() / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, "the list of known weights") as part:
        part.write_text(json.dumps(known), encoding="utf-8")
