"""Whether a file can be written where the user wants it, asked before any work is done."""

from __future__ import annotations

import os
import re
from pathlib import Path

from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import possible, regular_file

# What Windows keeps for itself (Microsoft, "Naming Files, Paths, and Namespaces"); a colon would name a hidden stream.
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
MOST_BYTES = 200  # of one part of a name: file systems take 255, and numbers and endings are added
DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)", re.IGNORECASE)


def check_output(path: Path, suffix: str, what: str, *, make_folder: bool = False) -> None:
    """Raise `MagiError` unless `path` can be written and ends in `suffix`. make_folder: make its folder if missing.

    what: the kind of file, plural, for messages ("videos").
    """
    if path.suffix.lower() != suffix:
        name = path.stem.removeprefix(".") or what
        raise MagiError(f"{what} are written as {suffix[1:]}: {path.name or path} -> use {name}{suffix}")
    _check_letters(path.name)
    if possible(path, "file").is_dir():
        raise MagiError(f"{path} is a folder: give a file name ending in {suffix}")
    if path.exists():
        regular_file(path, "file")  # a pipe or device would be replaced
    if make_folder:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MagiError(f"cannot make the folder {path.parent} ({error.strerror}): choose another") from error
    if not path.parent.is_dir():
        raise MagiError(f"there is no folder {path.parent} to write {path.name} to: create it first")
    if not os.access(path.parent, os.W_OK):
        raise MagiError(f"the folder {path.parent} is read-only: choose another place for {path.name}")


def check_place(path: Path) -> None:
    """Raise `MagiError` unless a file can be made at `path`, whose folders need not be there yet."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise MagiError(f"{folder} is a file, not a folder to write {echo(path.name)} to: use another name")
    if not os.access(folder, os.W_OK):
        raise MagiError(f"the folder {folder} is read-only: choose another place for {echo(path.name)}")


def check_name(name: str) -> None:
    """Raise `MagiError` unless every part of the relative path `name` can be a file or folder on Windows too.

    Workflows and takes travel between systems, so that names are the same everywhere.
    """
    for part in re.split(r"[/\\]", name):
        _check_letters(part)
        if found := FORBIDDEN.search(part):
            usable = FORBIDDEN.sub("-", name)
            raise MagiError(f"{echo(found[0])} cannot be in a file name: {echo(name)} -> use {echo(usable)}")
        if DEVICE.match(part):
            raise MagiError(f"{echo(part)} is a device on Windows, not a file name: {echo(name)} -> use 'my {part}'")
        if part.strip(".") and part != part.rstrip(". "):
            raise MagiError(
                f"a name cannot end in a dot or a space: {echo(part)} -> use {echo(part.rstrip('. ') or '-')}"
            )


def _check_letters(part: str) -> None:
    """Raise `MagiError` for one part of a name that is too long, or not text that every library can be given."""
    if len(part.encode("utf-8", "replace")) > MOST_BYTES:
        raise MagiError(f"a file name is too long: at most {MOST_BYTES} bytes, and {echo(part)} has more")
    if any("\ud800" <= letter <= "\udfff" for letter in part):
        raise MagiError(f"a file name is not text in UTF-8: {echo(part)} -> use another name")
