"""Lazy, memory-mapped reading of checkpoints: a mapping from tensor names to tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import open_regular
from magi_core.weights.header import DOWNLOAD_AGAIN, SafetensorsHeader, TensorHeader, read_header
from magi_core.weights.layouts import official
from magi_core.weights.shards import list_shards
from magi_core.weights.unchanged import while_unchanged
from magi_core.weights.zst import peek_header, stream_edges, unpack

MAX_SHARING = 4  # tensors of a .bin file may be one and the same, as the embeddings of T5 are
EDGE = 64 * 1024  # bytes of tensor data at either end of a shard that its fingerprint covers


class Shard(Protocol):
    """One weight file. `headers` costs a glance at the file; `tensor` maps, it does not copy."""

    @property
    def headers(self) -> Mapping[str, TensorHeader]: ...

    def tensor(self, name: str) -> Tensor: ...

    def edges(self) -> tuple[bytes, bytes]:
        """The first and the last 64 KiB of tensor data."""


class Checkpoint(Mapping[str, Tensor]):
    """The tensors of a checkpoint, read when asked for. On the CPU they are views of the mapped files.

    Names are the official ones, whatever the layout of the files (`magi_core.weights.layouts`).
    headers: shapes and dtypes of all tensors. shards: what reads the `files` behind them.
    """

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        self.path, self.device = path, torch.device(device)
        listed = list_shards(path)
        self.files = listed.files
        by_file = {file: _open_shard(file) for file in listed.files}
        self.shards = tuple(by_file.values())
        if listed.index:
            self._home = {name: by_file[file] for name, file in listed.index.items()}
        else:
            self._home = {name: shard for shard in self.shards for name in shard.headers}
        lost = [name for name, shard in self._home.items() if name not in shard.headers]
        if lost:
            raise MagiError(
                f"{path}: {len(lost)} tensors are not in the weight file that the index names, such as "
                f"{echo(lost[0], quoted=False)} in {listed.index[lost[0]].name}. The files belong to different "
                "downloads: download the folder again."
            )
        stored = {name: shard.headers[name] for name, shard in self._home.items()}
        self._places = official(stored)
        self.headers = {name: place.header(stored) for name, place in self._places.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self._places[name].tensor(self._stored).to(self.device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _stored(self, name: str) -> Tensor:
        return self._home[name].tensor(name)


def read_tensors(path: str | Path, *, device: torch.device | str = "cpu") -> Checkpoint:
    """Lazy mapping of tensor names to tensors on `device` for the checkpoint at `path`.

    path: a folder with an index and shards, with numbered shards or with one file; an index file; or a
    weight file. Shards may be safetensors, safetensors compressed with zstandard, or `.bin` (plain tensors
    only, no code is run). Files are checked against their headers at once, so that a cut-off download raises
    `MagiError` before any work.
    """
    return Checkpoint(Path(path).absolute(), device)


class SafetensorsShard:
    def __init__(self, file: Path) -> None:
        self.file, self.header = file, _header_of(file)
        self.headers = self.header.tensors
        self._open: Any = None

    def tensor(self, name: str) -> Tensor:
        if self._open is None:
            try:
                self._open = safe_open(self.file, framework="pt")
            except SafetensorError as error:
                raise MagiError(f"{self.file} cannot be read ({echo(error)}). {DOWNLOAD_AGAIN}") from None
        return self._open.get_tensor(name)

    def edges(self) -> tuple[bytes, bytes]:
        start, end = self.header.data_start, self.header.file_size
        with self.file.open("rb") as stream:
            stream.seek(start)
            first = stream.read(EDGE)
            stream.seek(max(start, end - EDGE))
            return first, stream.read(EDGE)


class ZstShard:
    """A compressed shard: its header is read at once, the rest unpacked when a tensor is asked for."""

    def __init__(self, file: Path) -> None:
        self.file, self.header = file, peek_header(file)
        self.headers = self.header.tensors
        self._plain: SafetensorsShard | BytesShard | None = None

    def tensor(self, name: str) -> Tensor:
        return self._unpacked().tensor(name)

    def edges(self) -> tuple[bytes, bytes]:
        return self._plain.edges() if self._plain else stream_edges(self.file, self.header, EDGE)

    def _unpacked(self) -> SafetensorsShard | BytesShard:
        if self._plain is None:
            plain = unpack(self.file, self.header)
            self._plain = SafetensorsShard(plain) if isinstance(plain, Path) else BytesShard(plain, self.header)
        return self._plain


class BytesShard:
    """A safetensors file held in memory; its tensors are views of that memory."""

    def __init__(self, data: bytearray, header: SafetensorsHeader) -> None:
        self.data, self.header, self.headers = data, header, header.tensors

    def tensor(self, name: str) -> Tensor:
        entry = self.headers[name]
        if entry.numel == 0:
            return torch.empty(entry.shape, dtype=entry.dtype)
        begin = self.header.data_start + entry.begin
        return torch.frombuffer(self.data, dtype=entry.dtype, count=entry.numel, offset=begin).view(entry.shape)

    def edges(self) -> tuple[bytes, bytes]:
        start, end = self.header.data_start, self.header.file_size
        return bytes(self.data[start : start + EDGE]), bytes(self.data[max(start, end - EDGE) : end])


class BinShard:
    """A `.bin` file of plain tensors from `torch.save`; anything else in it is refused, not executed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._tensors = _load_bin(file)
        except MagiError:
            raise
        except Exception as error:  # torch.load raises many kinds for damaged or foreign files
            reason = echo(str(error).splitlines()[0], quoted=False) if str(error) else type(error).__name__
            raise MagiError(f"{file} is not a readable file of plain weights ({reason}). {DOWNLOAD_AGAIN}") from None
        self.headers = {name: TensorHeader(tuple(t.shape), t.dtype) for name, t in self._tensors.items()}

    def tensor(self, name: str) -> Tensor:
        return self._tensors[name]

    def edges(self) -> tuple[bytes, bytes]:
        with self.file.open("rb") as stream:
            first = stream.read(EDGE)
            stream.seek(max(0, self.file.stat().st_size - EDGE))
            return first, stream.read(EDGE)


def _load_bin(file: Path) -> dict[str, Tensor]:
    with open_regular(file, "weight file") as stream:
        mapped = stream.read(2) == b"PK"  # files older than torch 1.6 are no zip archives and cannot be mapped
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        if not re.search("unsupported (global|class)", str(error), re.IGNORECASE):  # PyTorch has no error of its own
            raise
        raise MagiError(
            f"{file} holds more than plain weights, such as code that runs while it is read: it is not opened. Get "
            "the model as .safetensors"
        ) from None
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError("it holds something else than named tensors")
    if sum(tensor.nbytes for tensor in loaded.values()) > MAX_SHARING * file.stat().st_size:
        raise ValueError("its tensors claim more than the file holds")
    return dict(loaded)


@while_unchanged(512)
def _header_of(file: Path) -> SafetensorsHeader:
    with open_regular(file, "weight file") as stream:
        return read_header(stream, str(file), file.stat().st_size)


def _open_shard(file: Path) -> Shard:
    if file.suffix == ".bin":
        return BinShard(file)
    return ZstShard(file) if file.suffix == ".zst" else SafetensorsShard(file)
