"""Saved takes in a folder: which there are, and whether one has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from magi_core.errors import MagiError
from magi_core.state.save import HEAD, parts_folders

SUFFIX = ".magi"
BLOCK = 1 << 20


def find_takes(folder: Path, *, below: bool = True) -> list[Path]:
    """Takes in `folder`, those included that a broken-off run left in parts; sorted by name.

    below: also those in folders below it.
    """
    anywhere = "**/" if below else ""
    whole = {path for path in folder.glob(f"{anywhere}*{SUFFIX}") if path.is_file()}
    parted = {_take_of(head.parent) for head in folder.glob(f"{anywhere}*{SUFFIX}.parts*/{HEAD}")}
    return sorted(whole | {path for path in parted if path.suffix == SUFFIX})


def is_take(path: Path) -> bool:
    """Whether there is a take at `path`, whole or in parts."""
    return path.suffix == SUFFIX and any(True for _ in _files(path))


def take_fingerprint(path: Path) -> str:
    """Digest of all that `load_state(path)` would read. Raises `MagiError` where there is no take."""
    files = list(_files(path))
    if not files:
        raise MagiError(f"there is no saved take at {path}")
    seen = [(file, file.stat()) for file in files]
    return _digest(tuple((file, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size) for file, stat in seen))


def _take_of(parts: Path) -> Path:
    name = parts.name.removesuffix(".old").removesuffix(".parts")
    return parts.with_name(name)


def _files(path: Path) -> Iterator[Path]:
    for folder in parts_folders(path):
        if (folder / HEAD).is_file():
            yield from sorted(file for file in folder.iterdir() if file.is_file())
            return
    if path.is_file():
        yield path


@lru_cache(maxsize=256)
def _digest(files: tuple[tuple[Path, int, int, int, int], ...]) -> str:
    """Read once for every version: lists of files are asked for their takes at every run. Times alone do not tell
    versions apart: clocks are set back."""
    total = hashlib.sha256()
    for file, *_ in files:
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                total.update(block)
    return total.hexdigest()
