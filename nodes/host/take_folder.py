"""Where takes are: `output/magi`, where they are saved, and ComfyUI's input folder. Nothing else is read or written."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from magi_core.errors import MagiError, echo
from magi_core.state.files import SUFFIX, find_takes, is_take
from magi_core.video.output_path import check_name, check_place
from magi_core.writing.claim import is_claimed

OUTPUT, INPUT = "output", "input"  # as ComfyUI's own file names say it: "ball.magi [input]"
SAVED = "magi"  # folder in ComfyUI's output folder


def listed_takes() -> list[str]:
    """Names for a list, newest first: "magi/ball_00001_.magi [output]", "ball.magi [input]"."""
    saved, given = _folder(OUTPUT), _folder(INPUT)
    found = {_name(path, OUTPUT): path for path in find_takes(saved / SAVED)}
    found |= {_name(path, INPUT): path for path in find_takes(given, below=False)}
    return sorted(found, key=lambda name: _changed(found[name]), reverse=True)


def take_path(name: str) -> Path:
    """The file of a name from the list. Names of anything else raise `MagiError`."""
    for kind, folder in ((OUTPUT, _folder(OUTPUT) / SAVED), (INPUT, _folder(INPUT))):
        if name.endswith(f" [{kind}]"):
            path = Path(os.path.abspath(_folder(kind) / name.removesuffix(f" [{kind}]")))
            if path.is_relative_to(folder) and is_take(path):
                return path
    raise MagiError(
        f"there is no saved take called {echo(name)} in ComfyUI's input folder or in output/{SAVED}: "
        "press R to refresh the list"
    )


def new_take_path(prefix: str, width: int, height: int) -> Path:
    """A file that is not there yet, counted as ComfyUI's save nodes count: "ball" becomes ball_00001_.magi."""
    inside(prefix)
    output = folder_paths.get_output_directory()
    folder, name, counter, *_ = folder_paths.get_save_image_path(f"{SAVED}/{prefix}", output, width, height)
    path = Path(folder) / f"{name}_{counter:05}_{SUFFIX}"
    while is_take(path) or is_claimed(path):  # a run keeps it in parts, or another ComfyUI has just begun to write it
        counter += 1
        path = path.with_name(f"{name}_{counter:05}_{SUFFIX}")
    return path


def autosave_path(name: str) -> Path:
    """The file that a run keeps up to date; the same name is the same file."""
    path = inside(name)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def inside(name: str) -> Path:
    """`name` in `output/magi`. Names that lead out of it, or name nothing, raise `MagiError`."""
    root = _folder(OUTPUT) / SAVED
    path = Path(os.path.abspath(root / name.strip()))
    if not name.strip() or path == root or not path.is_relative_to(root):
        raise MagiError(
            f"takes are saved in output/{SAVED}: {echo(name)} -> use a name such as 'ball' or 'scene 1/ball'"
        )
    check_name(name.strip())
    check_place(path)
    return path


def shown(path: Path) -> str:
    """How a file in ComfyUI's output folder is called on a node."""
    return f"{OUTPUT}/{Path(os.path.abspath(path)).relative_to(_folder(OUTPUT)).as_posix()}"


def _folder(kind: str) -> Path:
    get = folder_paths.get_output_directory if kind == OUTPUT else folder_paths.get_input_directory
    return Path(os.path.abspath(get()))


def _name(path: Path, kind: str) -> str:
    return f"{path.relative_to(_folder(kind)).as_posix()} [{kind}]"


def _changed(path: Path) -> float:
    """When a take was written; one in parts is being made, or was until the crash."""
    return path.stat().st_mtime if path.is_file() else float("inf")
