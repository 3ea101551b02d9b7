"""Which files make up a checkpoint: an index with shards, numbered shards, or one file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json
from magi_core.weights.header import DOWNLOAD_AGAIN

INDEX_NAMES = (
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.zst", ".bin")
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

    Raises `MagiError` for a path without weights, a broken index, a missing shard, and a folder of unrelated
    files.
    """
    if not path.exists():
        raise MagiError(f"there is nothing at {path}: check the path")
    if path.is_file():
        if path.name.endswith(".index.json"):
            return _from_index(path)
        if is_weight_file(path):
            return ShardList((path,))
        raise MagiError(f"{path} is not a weight file: choose a folder, or a {', '.join(WEIGHT_SUFFIXES)} file")
    for name in INDEX_NAMES:
        if (path / name).is_file():
            return _from_index(path / name)
    return ShardList(_without_index(path))


def is_weight_file(path: Path) -> bool:
    return path.name.endswith(WEIGHT_SUFFIXES)


def weight_files(folder: Path) -> list[Path]:
    """Weight files right in `folder`, by name; safetensors hide `.bin`, and a plain file hides its `.zst`."""
    files = sorted(p for p in folder.iterdir() if is_weight_file(p) and not p.name.startswith("."))
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
        raise MagiError(
            f"{folder} is not a model folder: it has no weights ({', '.join(WEIGHT_SUFFIXES)}). "
            "Choose the folder that holds them, such as ckpt/magi/4.5B_base/inference_weight"
        )
    if len(files) > 1:
        raise MagiError(f"{folder} holds several models: {_some([p.name for p in files])}. Choose one of these files.")
    return tuple(files)


def _present(file: Path) -> Path | None:
    packed = file.with_name(file.name + ".zst")
    return file if file.is_file() else packed if packed.is_file() else None


def _some(names: list[str]) -> str:
    return ", ".join(echo(name, quoted=False) for name in names[:8]) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
