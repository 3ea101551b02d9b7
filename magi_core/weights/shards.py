"""Which files make up a checkpoint: an index with shards, numbered shards, or one file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json
from magi_core.inputs.regular import regular_file
from magi_core.weights.header import DOWNLOAD_AGAIN
from magi_core.weights.unchanged import while_unchanged

INDEX_NAMES = (
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.zst", ".bin")
GGUF = ".gguf"
STANDARD_NAMES = ("model", "diffusion_pytorch_model", "pytorch_model")
NUMBERED = re.compile(r"-(\d{1,12})-of-(\d{1,12})\.")
MAX_SHARDS = 10_000


@dataclass(frozen=True)
class ShardList:
    """Weight files of one checkpoint. `index`: tensor name -> file; empty where there is no index."""

    files: tuple[Path, ...]
    index: dict[str, Path] = field(default_factory=dict)


def list_shards(path: Path) -> ShardList:
    """The files of the checkpoint at `path`: a folder, an index file or one weight file.

    Raises `MagiError` for a path without weights, a broken index, a missing shard, a folder of unrelated files, and
    what `check_file` refuses.
    """
    if not path.is_dir():
        check_file(path)
        return _from_index(path) if path.name.endswith(".index.json") else ShardList((path,))
    for name in INDEX_NAMES:
        if (path / name).is_file():
            return _from_index(path / name)
    return ShardList(_without_index(path))


def check_file(path: Path) -> None:
    """Raise `MagiError` for what is not a file of weights or an index of them, by its name and kind; it is not opened.
    Nor is GGUF one: its quantised numbers are not read."""
    if path.is_symlink() and not path.exists():
        raise MagiError(
            f"{path} is a link to {echo(os.readlink(path))}, which leads nowhere: link it anew, or delete it"
        )
    regular_file(path, "weight file")
    if path.suffix.lower() == GGUF:
        raise MagiError(
            f"{path} is a GGUF file, which is not read: use the official .safetensors files. The fp8 ones "
            "(4.5B_distill_quant, 24B_distill_quant) are the smallest"
        )
    if not path.name.endswith((".index.json", *WEIGHT_SUFFIXES)):
        raise MagiError(f"{path} is not a weight file: choose a folder, or a {', '.join(WEIGHT_SUFFIXES)} file")


def unusable_files(folder: Path) -> list[Path]:
    """What has a weight file's name right in `folder`, but is none: a link that leads nowhere, a pipe, a folder without
    weights, GGUF."""
    named = [p for p in folder.iterdir() if p.name.lower().endswith((GGUF, *WEIGHT_SUFFIXES)) and p.name[0] != "."]
    usable = {p for p in named if p.is_file() and p.suffix.lower() != GGUF}
    return sorted(p for p in named if p not in usable and not (p.is_dir() and _holds_weights(p)))


def _holds_weights(folder: Path) -> bool:
    try:
        return bool(weight_files(folder))
    except OSError:
        return False


def weight_files(folder: Path) -> list[Path]:
    """Weight files right in `folder`, by name; safetensors hide `.bin`, and a plain file hides its `.zst`."""
    named = (p for p in folder.iterdir() if p.name.endswith(WEIGHT_SUFFIXES) and not p.name.startswith("."))
    files = sorted(p for p in named if p.is_file())
    files = [p for p in files if p.suffix != ".bin"] or files
    return [p for p in files if p.suffix != ".zst" or p.with_suffix("") not in files]


def has_standard_name(file: Path) -> bool:
    """Whether the name is a folder's usual one (`model.safetensors`), which says nothing about the model."""
    return file.name in [name + suffix for name in STANDARD_NAMES for suffix in WEIGHT_SUFFIXES]


def is_numbered(file: Path) -> bool:
    return NUMBERED.search(file.name) is not None


def _from_index(index: Path) -> ShardList:
    weight_map = read_index(index)
    located: dict[str, Path | None] = {}
    for name in sorted(set(weight_map.values())):
        if Path(name).name != name:
            raise MagiError(f"{index} names a file outside its folder ({echo(name)}): this is not a proper checkpoint")
        located[name] = _present(index.parent / name)
    missing = [name for name, file in located.items() if file is None]
    if missing:
        raise MagiError(
            f"{index.parent} lacks {len(missing)} of {len(located)} weight files: {_some(missing)}. "
            "Download the missing ones into that folder."
        )
    files = {name: file for name, file in located.items() if file is not None}
    return ShardList(tuple(files.values()), {tensor: files[name] for tensor, name in weight_map.items()})


@while_unchanged(64)
def read_index(index: Path) -> dict[str, str]:
    """Tensor name -> file name from a `*.index.json`."""
    try:
        weight_map = read_json(index, "list of weight files")["weight_map"]
        if not weight_map or not all(isinstance(name, str) for name in weight_map.values()):
            raise ValueError("it lists no tensors")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else echo(error)
        raise MagiError(f"the list of weight files {index} cannot be read ({reason}). {DOWNLOAD_AGAIN}") from None
    return weight_map


def _without_index(folder: Path) -> tuple[Path, ...]:
    files = weight_files(folder)
    if standard := [p for p in files if has_standard_name(p)]:
        return (standard[0],)
    numbered = {int(m[1]): (p, int(m[2])) for p in files if (m := NUMBERED.search(p.name))}
    if numbered and len(numbered) == len(files):
        count = max(total for _, total in numbered.values())
        if count > MAX_SHARDS:
            raise MagiError(f"{folder}: a name claims to be one of {count:,} weight files; no model has so many")
        missing = [f"part {i} of {count}" for i in range(1, count + 1) if i not in numbered]
        if missing:
            raise MagiError(
                f"{folder} lacks weight files: {_some(missing)}. Download the missing ones into that folder."
            )
        return tuple(numbered[i][0] for i in sorted(numbered))
    if not files:
        for file in unusable_files(folder):
            check_file(file)
        raise MagiError(
            f"{folder} is not a model folder: it has no weights ({', '.join(WEIGHT_SUFFIXES)}). "
            "Choose the folder that holds them, such as ckpt/magi/4.5B_base/inference_weight"
        )
    if len(files) > 1:
        raise MagiError(f"{folder} holds several models: {_some([p.name for p in files])}. Choose one of these files.")
    return tuple(files)


def _present(file: Path) -> Path | None:
    packed = file.with_name(file.name + ".zst")
    try:
        return file if file.is_file() else packed if packed.is_file() else None
    except OSError:  # a name longer than any file can have
        return None


def _some(names: list[str]) -> str:
    return ", ".join(echo(name, quoted=False) for name in names[:8]) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
