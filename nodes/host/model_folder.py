"""Where models are: `models/magi`, and MAGI's own among the files in ComfyUI's usual folders.

The bundled models are always in the lists.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from magi_core.config import DiTConfig
from magi_core.engine import USUAL_SIZE
from magi_core.errors import MagiError, echo, printable
from magi_core.loading import BUNDLED, locate, own_size
from magi_core.weights import (
    ModelFiles,
    find_model,
    find_models,
    has_standard_name,
    holds_transformer,
    holds_vae,
    is_numbered,
    is_t5_folder,
    is_vae_folder,
)

FOLDER = "magi"
EXTENSIONS = {".safetensors", ".zst", ".bin", ".npz"}
PART_FOLDERS = {"VAE": "vae", "text encoder": "text_encoders"}


def register_model_folder() -> None:
    """Add `models/magi` to ComfyUI's folders; folders that the user's extra_model_paths.yaml names for it are kept."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, EXTENSIONS)


def model_input(tooltip: str, part: str | None = None) -> io.Combo.Input:
    """The list of models; a loader of one `part` takes it from the model chosen, or from one of its own."""
    own = _parts(part) if part else {}
    return io.Combo.Input("model", options=[*BUNDLED, *_models(), *own], tooltip=tooltip)


def files_of(name: str, variant: str = "auto") -> ModelFiles:
    """Where the parts of the listed model `name` are. Names that are not in the list raise `MagiError`."""
    if name in BUNDLED:
        return locate(name, variant)
    found = _models()
    if name not in found:
        listed = [*BUNDLED, *(f"{other} (unreadable)" if other in _unreadable else other for other in found)]
        raise MagiError(
            f"there is no model called {echo(name)} in models/{FOLDER} or models/diffusion_models. "
            f"Found: {', '.join(listed)}. After adding files, press R to refresh the list."
        )
    files = find_model(found[name], variant)
    return files if files.special_tokens else replace(files, special_tokens=_special_tokens())


def part_of(name: str, part: str) -> Path:
    """Path of the "VAE" or "text encoder" called `name`, or that belongs to the model of this name.

    Where none lies beside the model, it is the one in ComfyUI's own folder for such parts, if there is only one.
    """
    own = _parts(part)
    if name in own:
        return own[name]
    files = files_of(name)
    path = {"VAE": files.vae, "text encoder": files.t5}[part]
    if path is None and len(own) == 1:
        (path,) = own.values()
    if path is None:
        where = next(missing.where for missing in files.missing if missing.part == part)
        raise MagiError(
            f"no {part} was found beside {name}. It belongs in models/magi or models/{PART_FOLDERS[part]}. "
            f"Get it from {where}"
        )
    return path


def reader_of(name: str) -> DiTConfig | None:
    """What the text encoder called `name` is read by; None for one in a folder of its own."""
    return None if name in _parts("text encoder") else files_of(name).config


def size_of(name: str) -> tuple[int, int]:
    """Width and height of the video model that the VAE called `name` belongs to."""
    return USUAL_SIZE if name in _parts("VAE") else own_size(files_of(name))


def _models() -> dict[str, Path]:
    """Transformers by their name in the list: those in models/magi, then those among diffusion models.

    What cannot be read is in the list too: ComfyUI's log says why, and so does the node that is to load it.
    """
    names: dict[str, Path] = {}
    for folder in folder_paths.get_folder_paths(FOLDER):
        root = Path(folder).absolute()
        for files in find_models([root]):
            name = files.dit.relative_to(root).as_posix()
            names.setdefault(name, files.dit)
            _note(name, files.problem)
    for name, file in _listed("diffusion_models"):
        if file.suffix == ".safetensors" and _known(holds_transformer, file):
            inner = Path(name).parent.as_posix()
            whole = inner != "." and (
                is_numbered(file) or has_standard_name(file)
            )  # shards, or a folder with one model
            names.setdefault(
                f"diffusion_models/{inner if whole else Path(name).as_posix()}", file.parent if whole else file
            )
    return names


_unreadable: dict[str, str] = {}  # name -> why, of what the log has told


def _note(name: str, problem: str) -> None:
    """Log why a model cannot be read, once: lists are made at every page load."""
    if not problem:
        _unreadable.pop(name, None)
    elif _unreadable.get(name) != problem:
        _unreadable[name] = problem
        logging.warning("MAGI: %s in models/%s cannot be read: %s", printable(name), FOLDER, printable(problem))


def _parts(part: str) -> dict[str, Path]:
    """VAEs or T5 folders in ComfyUI's own folder for them, by their name in the list."""
    kind = PART_FOLDERS[part]
    names: dict[str, Path] = {}
    for name, file in _listed(kind):
        inner, folder = Path(name).parent.as_posix(), file.parent
        if part == "VAE" and file.suffix == ".safetensors" and _known(holds_vae, file):
            whole = inner != "." and is_vae_folder(folder)
            names.setdefault(f"{kind}/{inner if whole else Path(name).as_posix()}", folder if whole else file)
        elif part == "text encoder" and inner != "." and is_t5_folder(folder):
            names.setdefault(f"{kind}/{inner}", folder)
    return names


def _special_tokens() -> Path | None:
    """The file right in models/magi, for models that lie elsewhere."""
    files = (Path(folder).absolute() / "special_tokens.npz" for folder in folder_paths.get_folder_paths(FOLDER))
    return next((file for file in files if file.is_file()), None)


def _listed(kind: str) -> Iterator[tuple[str, Path]]:
    """Files in one of ComfyUI's folders, with their names in its lists."""
    for name in folder_paths.get_filename_list(kind):
        path = folder_paths.get_full_path(kind, name)
        if path is not None:
            yield name, Path(path).absolute()


def _known(holds: Callable[[Path], bool], file: Path) -> bool:
    """`holds(file)`, asked once for every file and again only when it changed: lists are made at every page load."""
    try:
        seen = file.stat()
    except OSError:  # it went away meanwhile
        return False
    return _asked(holds, file, (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_size))


@functools.lru_cache(maxsize=4096)
def _asked(holds: Callable[[Path], bool], file: Path, version: tuple[int, ...]) -> bool:
    return holds(file)
