"""What the desk remembers from one start to the next, in ComfyUI's user folder: words and keys, small stills, speeds.

Bounded in number and bytes; what is oldest goes. Losing it costs nothing but the pictures: what cannot be read is as
if it were not there, what cannot be written is said in the log once.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from magi_core.digest import digest
from magi_core.errors import MagiError, printable
from magi_core.inputs.json_text import parse_json
from magi_core.inputs.regular import read_bounded
from magi_core.writing.replacing import replacing

from ..host.user_folder import kept_in
from .events import STILL_BYTES

KEY = re.compile(r"[0-9a-f]{64}")
MOST_STILLS, MOST_WORKFLOWS, MOST_SPEEDS = 4000, 100, 200
MOST_WORDS = 4 << 20  # bytes of one workflow
TIDY_EVERY = 100  # stills


class Store:
    """folder: see the module. Used under the desk's lock."""

    def __init__(self, folder: Callable[[], Path] = lambda: kept_in("desk")) -> None:
        self._folder = folder
        self._written = 0
        self._failed = False

    def still(self, key: str) -> bytes | None:
        return self._read(self._still(key), STILL_BYTES) if KEY.fullmatch(key) else None

    def has_still(self, key: str) -> bool:
        return KEY.fullmatch(key) is not None and os.path.isfile(self._still(key))  # no error where it may not look

    def keep_still(self, key: str, jpeg: bytes) -> None:
        if KEY.fullmatch(key) and self._write(self._still(key), jpeg):
            self._written += 1
            if self._written % TIDY_EVERY == 1:
                _thin_out(self._folder() / "stills", ".jpg", MOST_STILLS)

    def workflow(self, name: str) -> Any:
        """What was kept of a workflow, unchecked; None where nothing was."""
        return self._json(self._workflow(name))

    def keep_workflow(self, name: str, nodes: dict[str, Any]) -> None:
        words = json.dumps(nodes).encode()
        if len(words) <= MOST_WORDS and self._write(self._workflow(name), words):
            _thin_out(self._folder() / "workflows", ".json", MOST_WORKFLOWS)

    def speeds(self) -> dict[str, list[float]]:
        """Seconds that were measured, by what was measured: see `Speed`."""
        found = self._json(self._folder() / "speeds.json")
        kept = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in kept if _are_seconds(value)}

    def keep_speed(self, key: str, seconds: list[float]) -> None:
        kept = self.speeds()
        kept.pop(key, None)
        newest = dict(list((kept | {key: seconds}).items())[-MOST_SPEEDS:])
        self._write(self._folder() / "speeds.json", json.dumps(newest).encode())

    def _still(self, key: str) -> Path:
        return self._folder() / "stills" / f"{key}.jpg"

    def _workflow(self, name: str) -> Path:
        return self._folder() / "workflows" / f"{digest(name)[:32]}.json"

    def _json(self, path: Path) -> Any:
        content = self._read(path, MOST_WORDS)
        try:
            return None if content is None else parse_json(content, path)
        except MagiError:
            return None

    def _read(self, path: Path, limit: int) -> bytes | None:
        try:
            return read_bounded(path, "note of the desk", limit)
        except (MagiError, OSError):
            return None

    def _write(self, path: Path, content: bytes) -> bool:
        try:
            with replacing(path, "a note of the desk") as part:
                part.write_bytes(content)
        except (MagiError, OSError) as error:
            if not self._failed:
                logging.warning("MAGI: the desk will forget what it shows: %s", printable(error))
            self._failed = True
            return False
        return True


def _are_seconds(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(each, int | float) and 0 <= each < 1e6 for each in value)
    )


def _thin_out(folder: Path, suffix: str, most: int) -> None:
    """Remove the oldest files beyond `most`, whatever else is there."""
    with suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.name.endswith(suffix) and not entry.is_dir()]
        oldest = sorted(files, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in oldest[: max(0, len(files) - most)]:
            with suppress(OSError):
                os.unlink(entry)
