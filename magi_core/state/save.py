"""A state as one file: safetensors with its words in the metadata. No K/V; those are made again from latents.

While a take is being made, `autosave` keeps it in a folder beside that file; `load_state` looks there first.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json
from magi_core.inputs.kind import kind_of
from magi_core.inputs.regular import regular_file
from magi_core.state.checked import check_take, files_of_chunks
from magi_core.state.serialise import Tensors, Words, chunk_parts, from_format_2, head_parts, state_from
from magi_core.state.state import SamplerState

FORMAT = 3
READABLE = (2, 3)
KEY = "magi_state"
MAX_WORDS = 100_000_000  # characters, as many as the format has room for
HEAD = "head.safetensors"
PREFIX = "prefix.safetensors"


def save_state(state: SamplerState, path: str | Path) -> None:
    """Write `state` to `path`, replacing it whole or not at all. float32 latents: 3 MiB a chunk at 720x720."""
    words, tensors = head_parts(state)
    chunks = [chunk_parts(record) for record in state.chunks]
    for _, latents in chunks:
        tensors |= latents
    if state.prefix is not None:
        tensors["prefix"] = state.prefix
    write_part(Path(path), {"format": FORMAT, **words, "chunks": [words for words, _ in chunks]}, tensors)
    for folder in parts_folders(Path(path)):  # an older take, broken off
        shutil.rmtree(folder, ignore_errors=True)


def load_state(path: str | Path) -> SamplerState:
    """The state saved at `path`, or what an interrupted `Autosave` left there.

    Raises `MagiError` for files that are damaged, not a state, or of another version.
    """
    path = Path(path)
    folders = [folder for folder in parts_folders(path) if (folder / HEAD).is_file()]
    if folders:
        folder = folders[0]
        words, tensors = read_part(folder / HEAD)
        version = words.pop("format")
        parts = [read_part(folder / chunk_file(index)) for index in files_of_chunks(words, folder)]
        del words["finished"]
        if words.pop("has_prefix"):
            tensors |= read_part(folder / PREFIX)[1]
        del words["first_chunk"]
        chunks = [{name: value for name, value in part.items() if name != "format"} for part, _ in parts]
        for _, latents in parts:
            tensors |= latents
    else:
        words, tensors = read_part(path)
        version, chunks = words.pop("format"), words.pop("chunks", [])
    if version == 2:
        words, chunks = from_format_2(words, chunks, tensors, folders[0] if folders else path)
    check_take(words, chunks, tensors, folders[0] if folders else path)
    try:
        return state_from(words, chunks, tensors)
    except (KeyError, TypeError) as error:
        raise MagiError(f"{folders[0] if folders else path} is damaged: {echo(error)} is missing or wrong") from None


def parts_folders(path: Path) -> tuple[Path, Path]:
    """Where a take is kept while it is being made, and where what was there before is until that is complete."""
    return path.with_name(path.name + ".parts"), path.with_name(path.name + ".parts.old")


def chunk_file(index: int) -> str:
    return f"chunk.{index}.safetensors"


def write_part(path: Path, words: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Words and tensors as one file, replaced whole or not at all."""
    part = path.with_name(path.name + ".part")
    own = {name: tensor.contiguous().clone() if _is_view(tensor) else tensor for name, tensor in tensors.items()}
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        permissions = part.stat().st_mode
        save_file(own, part, {KEY: json.dumps(words)})
        part.chmod(permissions)  # safetensors makes files that nobody else may read
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise MagiError(f"cannot save to {path} ({echo(error)}): choose another place, or make room") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def read_part(path: Path) -> tuple[Words, Tensors]:
    """What `write_part` wrote; the format's number is one of `READABLE`."""
    regular_file(path, "saved take")
    try:
        with safe_open(path, framework="pt") as file:
            words = parse_json((file.metadata() or {}).get(KEY, "null"), "what it says", MAX_WORDS)
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise no_take(path, error) from None
    if not isinstance(words, dict):
        raise no_take(path, None)
    version = words.get("format")
    if version not in READABLE:
        later = isinstance(version, int) and version > FORMAT
        what = "a later version: update this one" if later else "an early version, which is not read any more"
        raise MagiError(f"{path} was saved by {what}")
    return words, tensors


def check_is_take(path: str | Path) -> None:
    """Raise `MagiError` for a file that cannot be a take, by its header alone; a damaged take may pass."""
    if any((folder / HEAD).is_file() for folder in parts_folders(Path(path))):
        return
    regular_file(path, "saved take")
    try:
        with safe_open(path, framework="pt") as file:
            known = KEY in (file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise no_take(Path(path), error) from None
    if not known:
        raise no_take(Path(path), None)


def no_take(path: Path, error: Exception | None) -> MagiError:
    """What to say of a file that is none: what it is, if that can be told, and what to do."""
    kind, what = kind_of(path), "choose a file written by Magi Save State, by autosave or by `state.save`"
    if error is not None and (not kind or kind.startswith("tensors")):
        return MagiError(f"{path} is damaged or not a saved take ({echo(error)}): {what}")
    return MagiError(f"{path} is {kind or 'something else'}, not a saved take: {what}")


def _is_view(tensor: Tensor) -> bool:
    """Whether a tensor is part of a larger one; the file format refuses tensors that share memory."""
    return not tensor.is_contiguous() or tensor.untyped_storage().nbytes() != tensor.nbytes
