"""Zstandard-compressed shards (`model-00001-of-00002.safetensors.zst`), accepted in place of plain ones.

A shard is unpacked once, as a stream, into the plain file beside it, which is then memory-mapped like any
other. Where no file can be made there, it is unpacked into memory, which costs its unpacked size. Either is
logged.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from magi_core.errors import MagiError, echo, printable
from magi_core.inputs.regular import open_regular
from magi_core.weights.header import DOWNLOAD_AGAIN, SafetensorsHeader, read_header
from magi_core.writing.claim import Claim
from magi_core.writing.failure import CannotWrite, cannot_write
from magi_core.writing.replacing import AS_BEFORE, replacing

BLOCK = 1 << 22
SMALL, MAX_RATIO = 64 << 20, 32  # bytes that any file may unpack to, and more for every byte of it; weights reach 2
WHAT = "the unpacked weights"
log = logging.getLogger(__name__)


class UnpackedStream:
    """Reads the unpacked bytes of a `.zst` file from its start; damage raises `MagiError`."""

    def __init__(self, packed: Path) -> None:
        self.packed, self.library = packed, _zstandard(packed)

    def __enter__(self) -> UnpackedStream:
        self.file = open_regular(self.packed, "weight file")
        self.reader = self.library.ZstdDecompressor().stream_reader(self.file, read_across_frames=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.file.close()

    def read(self, count: int) -> bytes:
        try:
            return self.reader.read(count)
        except self.library.ZstdError as error:
            raise MagiError(f"{self.packed} cannot be unpacked ({echo(error)}). {DOWNLOAD_AGAIN}") from None


def peek_header(packed: Path) -> SafetensorsHeader:
    """The safetensors header inside `packed`, unpacking only as much as that takes.

    Raises `MagiError` also where it promises more than a file of weights of this size can hold.
    """
    with UnpackedStream(packed) as stream:
        header = read_header(stream, packed.name)
    size = packed.stat().st_size
    if header.file_size > SMALL + MAX_RATIO * size:
        raise MagiError(
            f"{packed} claims to hold {header.file_size:,} bytes in its {size:,}, which weights cannot be packed into. "
            f"{DOWNLOAD_AGAIN}"
        )
    return header


def unpack(packed: Path, header: SafetensorsHeader) -> Path | bytearray:
    """The plain file beside `packed`, or the plain bytes where the folder takes no new file.

    Raises `MagiError` for damage, and while another process unpacks the same.
    """
    plain = packed.with_suffix("")
    gigabytes = header.file_size / 1e9
    try:
        with Claim(plain, WHAT):
            if shutil.disk_usage(packed.parent).free < header.file_size:
                raise cannot_write(WHAT, plain, OSError(errno.ENOSPC, "the disk is full"), AS_BEFORE)
            with replacing(plain, WHAT) as part, part.open("wb") as target:
                log.info("unpacking %s once, to %s (%.1f GB)", printable(packed), printable(plain.name), gigabytes)
                for block in _blocks(packed, header.file_size):
                    target.write(block)
        return plain
    except CannotWrite as error:
        log.warning(
            "unpacking %s into memory (%.1f GB), because beside it: %s", printable(packed), gigabytes, printable(error)
        )
    data, filled = bytearray(header.file_size), 0
    for block in _blocks(packed, header.file_size):
        data[filled : filled + len(block)] = block
        filled += len(block)
    return data


def stream_edges(packed: Path, header: SafetensorsHeader, length: int) -> tuple[bytes, bytes]:
    """The first and the last `length` bytes of tensor data, unpacked through and forgotten: takes time, not space."""
    first, last, position = b"", b"", 0
    for block in _blocks(packed, header.file_size):
        data = block[max(0, header.data_start - position) :]
        first = (first + data)[:length] if len(first) < length else first
        last = (last + data)[-length:]
        position += len(block)
    return first, last


def _blocks(packed: Path, size: int) -> Iterator[bytes]:
    """All unpacked bytes in order; another total than `size` raises `MagiError`."""
    total = 0
    with UnpackedStream(packed) as stream:
        while total <= size and (block := stream.read(BLOCK)):
            total += len(block)
            if total <= size:
                yield block
    if total != size:
        raise MagiError(f"{packed} does not unpack to the {size:,} bytes its header promises. {DOWNLOAD_AGAIN}")


def _zstandard(packed: Path) -> ModuleType:
    try:
        import zstandard
    except ImportError:
        raise MagiError(
            f"{packed.name} is compressed and needs the package 'zstandard': run 'pip install zstandard', or "
            f"unpack it yourself with 'zstd -d {packed.name}'"
        ) from None
    return zstandard
