"""A short identity of a checkpoint, so that a saved state knows which model it belongs to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from magi_core.digest import digest
from magi_core.weights.places import looked_at
from magi_core.weights.reader import Checkpoint, read_tensors
from magi_core.weights.unchanged import while_all_unchanged


def fingerprint(checkpoint: str | Path | Checkpoint) -> str:
    """64 hex digits over all names, shapes and dtypes and the first and last 64 KiB of every shard's data.

    It reads a few hundred kilobytes whatever the size, and does not depend on where the files are. A
    compressed shard counts as the same model as its plain copy, but has to be unpacked through for it.
    """
    return _of(checkpoint) if isinstance(checkpoint, Checkpoint) else _of_files(Path(checkpoint).absolute())


@while_all_unchanged(64, looked_at)
def _of_files(path: Path) -> str:
    return _of(read_tensors(path))


def _of(checkpoint: Checkpoint) -> str:
    total = hashlib.sha256()
    for shard in checkpoint.shards:
        for name, header in sorted(shard.headers.items()):
            total.update(f"{name} {list(header.shape)} {header.dtype}\n".encode())
        for edge in shard.edges():
            total.update(edge)
    return total.hexdigest()


def in_fp8(identity: str) -> str:
    """The identity of weights whose large linears are brought to fp8 on load, from that of the weights."""
    return identity and digest("fp8 rows", identity)
