"""The folder `models/magi` and what is in it. The bundled `nano` is always in the list."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from magi_core.errors import MagiError
from magi_core.loading import BUNDLED, locate
from magi_core.weights import ModelFiles, find_model, find_models

FOLDER = "magi"
EXTENSIONS = {".safetensors", ".zst", ".bin", ".npz"}


def register_model_folder() -> None:
    """Add `models/magi` to ComfyUI's folders; folders that the user's extra_model_paths.yaml names for it are kept."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, EXTENSIONS)


def model_input(tooltip: str) -> io.Combo.Input:
    """The list of models, the same in all three loaders: each takes its own part of the model chosen."""
    return io.Combo.Input("model", options=[*BUNDLED, *_found()], tooltip=tooltip)


def files_of(name: str, variant: str = "auto") -> ModelFiles:
    """Where the parts of the listed model `name` are. Names that are not in the list raise `MagiError`."""
    if name in BUNDLED:
        return locate(name, variant)
    found = _found()
    if name not in found:
        raise MagiError(
            f"there is no model called {name!r} in {' or '.join(folder_paths.get_folder_paths(FOLDER))}. "
            f"Found: {', '.join([*BUNDLED, *found])}. After adding files, press R to refresh the list."
        )
    return find_model(found[name], variant)


def part_of(name: str, part: str) -> Path:
    """Path of the "VAE" or "text encoder" that belongs to model `name`; says where to get it if it is not there."""
    files = files_of(name)
    path = {"VAE": files.vae, "text encoder": files.t5}[part]
    if path is None:
        where = next(missing.where for missing in files.missing if missing.part == part)
        raise MagiError(f"no {part} was found beside {name}. It belongs in models/magi. Get it from {where}")
    return path


def _found() -> dict[str, Path]:
    """Models in the folders, by their path inside the folder."""
    names: dict[str, Path] = {}
    for folder in folder_paths.get_folder_paths(FOLDER):
        root = Path(folder).absolute()
        for files in find_models([root]):
            names.setdefault(files.dit.relative_to(root).as_posix(), files.dit)
    return names
