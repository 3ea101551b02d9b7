"""A state as one file: safetensors with its words in the metadata. No K/V; those are made again from latents.

While a take is being made, `autosave` keeps it in a folder beside that file; `load_state` looks there first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from magi_core.config import is_whole
from magi_core.digest import digest
from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json
from magi_core.inputs.kind import kind_of
from magi_core.inputs.regular import possible, regular_file
from magi_core.state.checked import check_take, files_of_chunks
from magi_core.state.given_sound import sound_tensors
from magi_core.state.serialise import (
    LATER,
    Tensors,
    Words,
    chunk_parts,
    from_format_2,
    from_format_3,
    from_format_4,
    head_parts,
    state_from,
)
from magi_core.state.state import SamplerState
from magi_core.writing.claim import Claim
from magi_core.writing.replacing import AS_BEFORE, discard, replacing

FORMAT = 5
READABLE = (2, 3, 4, 5)
KEY = "magi_state"
SUMS = "checksums"
MAX_WORDS = 100_000_000  # characters, as many as the format has room for
HEAD = "head.safetensors"
PREFIX = "prefix.safetensors"
NOTHING = {"nothing": torch.zeros(1)}  # in place of no tensors: safetensors 0.4.3 cannot read a file without any


def save_state(state: SamplerState, path: str | Path | Claim, *, remains: str = AS_BEFORE) -> None:
    """Write `state` to `path`, replacing it whole or not at all. float32 latents: 3 MiB a chunk at 720x720.

    remains: for the error where it cannot be written, what there is to go on from.
    Raises `MagiError` also while another run writes a take of this name.
    """
    with Claim(path, "the take") as claim:
        _write_whole(state, claim.path, remains)


def _write_whole(state: SamplerState, path: Path, remains: str) -> None:
    words, tensors = head_parts(state)
    chunks = [chunk_parts(record) for record in state.chunks]
    for _, latents in chunks:
        tensors |= latents
    tensors |= given_tensors(state)
    write_part(path, {"format": FORMAT, **words, "chunks": [words for words, _ in chunks]}, tensors, remains)
    for folder in reversed(parts_folders(path)):  # of this take or one that was broken off; the older one first
        discard(folder, path)


def given_tensors(state: SamplerState) -> Tensors:
    """What a take was given, by name: the latents it begins with, and its sound."""
    prefix = {} if state.prefix is None else {"prefix": state.prefix}
    return prefix | sound_tensors(state.sound)


def load_state(path: str | Path) -> SamplerState:
    """The state saved at `path`, or what an interrupted `Autosave` left there.

    Raises `MagiError` for files that are damaged, not a state, or of another version.
    """
    return _loaded(path, read_part)


def load_outline(path: str | Path) -> SamplerState:
    """`load_state` without the numbers, in a moment: tensors are on PyTorch's "meta" device, there is no sound, and
    damage inside goes unseen. Enough to plan with.

    Raises `MagiError` as `load_state` does, and for takes of format 2, whose keys need their numbers.
    """
    return _loaded(path, _outline_of_part)


def _loaded(path: str | Path, read_part: Callable[[Path], tuple[Words, Tensors]]) -> SamplerState:
    path = possible(path, "saved take")
    folders = _folders_of(path)
    if folders:
        folder = folders[0]
        words, tensors = read_part(folder / HEAD)
        version = words.pop("format")
        parts = [read_part(folder / chunk_file(index)) for index in files_of_chunks(words, folder)]
        if words.get("has_prefix"):
            tensors |= read_part(folder / PREFIX)[1]
        words = {name: value for name, value in words.items() if name not in ("first_chunk", "finished", "has_prefix")}
        chunks = [{name: value for name, value in part.items() if name != "format"} for part, _ in parts]
        for _, latents in parts:
            tensors |= latents
    else:
        words, tensors = read_part(path)
        version, chunks = words.pop("format"), words.pop("chunks", [])
    where = folders[0] if folders else path
    if version == 2:
        words, chunks = from_format_2(words, chunks, tensors, where)
    elif version == 3:
        words = from_format_3(words)
    if version < 5:
        words, chunks = from_format_4(words, chunks)
    words = LATER | words
    check_take(words, chunks, tensors, where)
    try:
        return state_from(words, chunks, tensors)
    except (KeyError, TypeError) as error:
        raise MagiError(f"{where} is damaged: {echo(error)} is missing or wrong") from None
    except MagiError as error:
        raise MagiError(f"{where} is damaged, or no take that can be: {error}") from None


def parts_folders(path: Path) -> tuple[Path, Path]:
    """Where a take is kept while it is being made, and where what was there before is until that is complete."""
    return path.with_name(path.name + ".parts"), path.with_name(path.name + ".parts.old")


def _folders_of(path: Path) -> list[Path]:
    """Those of `parts_folders` that hold a take, the newer first."""
    try:
        return [folder for folder in parts_folders(path) if (folder / HEAD).is_file()]
    except OSError:  # the name is so long that no such folder can be
        return []


def chunk_file(index: int) -> str:
    return f"chunk.{index}.safetensors"


def write_part(path: Path, words: Mapping[str, Any], tensors: Mapping[str, Tensor], remains: str = AS_BEFORE) -> None:
    """Words and tensors as one file with a checksum of every tensor, replaced whole or not at all.

    remains: see `save_state`.
    """
    own: Tensors = {}
    for name, tensor in tensors.items():
        shared = _is_view(tensor) or any(tensor is other for other in own.values())
        own[name] = tensor.contiguous().clone() if shared else tensor
    words = {**words, SUMS: {name: digest(tensor) for name, tensor in own.items()}}
    with replacing(path, "the take", remains=remains, errors=(SafetensorError,)) as part:
        part.touch()
        permissions = part.stat().st_mode
        save_file(own or NOTHING, part, {KEY: json.dumps(words)})
        part.chmod(permissions)  # safetensors makes files that nobody else may read


def read_part(path: Path) -> tuple[Words, Tensors]:
    """What `write_part` wrote, its checksums verified and left out; the format's number is one of `READABLE`."""
    words, tensors = _read(path, latents=True)
    sums = words.pop(SUMS, None)
    if words["format"] > 3:
        _check_sums(sums, tensors, path)
    return words, tensors


def _outline_of_part(path: Path) -> tuple[Words, Tensors]:
    """The same by its header alone: tensors without numbers, and no sound."""
    words, _ = _read(path, latents=False)
    words.pop(SUMS, None)
    if words["format"] == 2:
        raise MagiError(f"{path} is of an early version: what it holds is known when it is loaded")
    with safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys() if name not in NOTHING}  # noqa: SIM118
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    return words, {
        name: torch.empty(part.get_shape(), dtype=kinds[part.get_dtype()], device="meta")
        for name, part in slices.items()
        if part.get_dtype() in kinds
    }


def saved_keys(path: Path) -> list[str]:
    """Keys of the finished chunks of the take at `path`, without its latents; "" where a chunk has none.

    Raises `MagiError` as `load_state` does for files, not for what is wrong inside.
    """
    folders = _folders_of(path)
    if folders:
        indices = files_of_chunks(_read(folders[0] / HEAD, latents=False)[0], folders[0])
        chunks: Any = [_read(folders[0] / chunk_file(index), latents=False)[0] for index in indices]
    else:
        chunks = _read(path, latents=False)[0].get("chunks", [])
    if not isinstance(chunks, list) or not all(isinstance(chunk, dict) for chunk in chunks):
        raise MagiError(f"{path} is damaged: its chunks are none")
    return [str(chunk.get("key", "")) for chunk in chunks]


def _read(path: Path, *, latents: bool) -> tuple[Words, Tensors]:
    """Words as they are in the file, the format's number looked at; with its tensors, or without any."""
    regular_file(path, "saved take")
    try:
        with safe_open(path, framework="pt") as file:
            words = parse_json((file.metadata() or {}).get(KEY, "null"), "what it says", MAX_WORDS)
            names = [name for name in file.keys() if name not in NOTHING] if latents else []  # noqa: SIM118
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except (OSError, SafetensorError, ValueError) as error:
        raise no_take(path, error) from None
    if not isinstance(words, dict):
        raise no_take(path, None)
    version = words.get("format")
    if not is_whole(version) or version not in READABLE:
        later = isinstance(version, int) and version > FORMAT
        what = "a later version: update this one" if later else "an early version, which is not read any more"
        raise MagiError(f"{path} was saved by {what}")
    return words, tensors


def _check_sums(sums: Any, tensors: Tensors, path: Path) -> None:
    """Raise `MagiError` unless every tensor is the one that was written."""
    if not isinstance(sums, dict) or sums.keys() != tensors.keys():
        raise MagiError(f"{path} is damaged: its checksums are not those of what it holds")
    for name, tensor in tensors.items():
        if sums[name] != digest(tensor):
            raise MagiError(
                f"{path} is damaged: {echo(name)} is not what was saved. Take another copy of the file, or make the "
                "take again"
            )


def check_is_take(path: str | Path) -> None:
    """Raise `MagiError` for a file that cannot be a take, by its header alone; a damaged take may pass."""
    if _folders_of(possible(path, "saved take")):
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
