"""Safetensors headers: what a file holds, without reading its tensors, checked against its size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import parse_json

HEADER_LIMIT = 8 << 20  # bytes; that of the largest MAGI-1 shard takes a twentieth
MAX_DIMENSIONS = 16
GIT_LFS_POINTER = b"version https://git-lfs"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
DOWNLOAD_AGAIN = "The file is incomplete or damaged: delete it and download it again."


@dataclass(frozen=True)
class TensorHeader:
    """Shape and dtype of one stored tensor; `begin` and `end` are bytes of the file's data (0 for .bin)."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    begin: int = 0
    end: int = 0

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class SafetensorsHeader:
    """All tensors of one file of `file_size` bytes, whose data begins at byte `data_start`."""

    tensors: Mapping[str, TensorHeader]
    data_start: int
    file_size: int


class Readable(Protocol):
    """What bytes are read from in order: a file, or one that is unpacked meanwhile."""

    def read(self, count: int, /) -> bytes: ...


def read_header(stream: Readable, name: str, actual_size: int | None = None) -> SafetensorsHeader:
    """The header at the start of `stream`. `name` is for messages.

    actual_size: bytes of the whole file, where known; any other size than the header promises raises
    `MagiError`.
    """
    start = stream.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > HEADER_LIMIT:
        if GIT_LFS_POINTER.startswith(start) and start:
            raise MagiError(
                f"{name} is only a Git LFS pointer, not the weights: run 'git lfs pull' in its folder, or "
                "download the file from the model page"
            )
        raise MagiError(f"{name} is not a safetensors file. {DOWNLOAD_AGAIN}")
    if actual_size is not None and 8 + length > actual_size:
        raise MagiError(f"{name} ends inside its header. {DOWNLOAD_AGAIN}")
    text = stream.read(length)
    if len(text) < length:
        raise MagiError(f"{name} ends inside its header. {DOWNLOAD_AGAIN}")
    try:
        entries = parse_json(text, "it", HEADER_LIMIT)
        if not isinstance(entries, dict):
            raise ValueError("it is no list of tensors by name")
        tensors = {key: _tensor_header(value) for key, value in entries.items() if key != "__metadata__"}
        _check_places(tensors.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MagiError(f"{name} has an unreadable header ({echo(error)}). {DOWNLOAD_AGAIN}") from None
    header = SafetensorsHeader(tensors, 8 + length, 8 + length + max((t.end for t in tensors.values()), default=0))
    if actual_size is not None and actual_size != header.file_size:
        raise MagiError(
            f"{name} has {actual_size:,} bytes where its header promises {header.file_size:,}. {DOWNLOAD_AGAIN}"
        )
    return header


def _tensor_header(entry: Mapping[str, Any]) -> TensorHeader:
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"unknown number format {echo(entry['dtype'])}")
    (begin, end), shape = entry["data_offsets"], entry["shape"]
    if len(shape) > MAX_DIMENSIONS or not all(type(number) is int for number in (begin, end, *shape)):
        raise ValueError(f"sizes and places are whole numbers, and there are few of them: {echo(shape)}")
    header = TensorHeader(tuple(shape), DTYPES[entry["dtype"]], begin, end)
    if min(header.shape, default=0) < 0 or begin < 0 or end - begin != header.nbytes:
        raise ValueError(f"{list(header.shape)} does not fit its {end - begin} bytes")
    return header


def _check_places(tensors: Iterable[TensorHeader]) -> None:
    """Tensors lie one after the other: if they could share bytes, few of these would make any number of tensors."""
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != end:
            raise ValueError(f"its tensors overlap or have gaps between them at byte {end:,}")
        end = tensor.end
