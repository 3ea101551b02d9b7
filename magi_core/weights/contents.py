"""What the numbers of a checkpoint are, found while they are loaded: that all are finite, and a digest of them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.weights.header import DOWNLOAD_AGAIN
from magi_core.weights.known import Seen
from magi_core.weights.reader import Checkpoint

THREADS = min(8, os.cpu_count() or 1)
FIRST_NOT_FINITE = {torch.float8_e4m3fn: 0x7F, torch.float8_e5m2: 0x7C}  # all greater positive bytes are neither


def read_sound(
    checkpoint: Checkpoint, names: Iterable[str], convert: Callable[[str, Tensor], Tensor]
) -> tuple[dict[str, Tensor], str]:
    """`convert(name, tensor)` of every tensor in `names`, and the digest of them as they are stored.

    The digest is 64 hex digits over names, shapes, dtypes and all numbers, whatever the layout of the files.
    Raises `MagiError` that names a tensor with numbers that are not finite. Files that were read whole before, and
    have not changed since, are not looked through again (`magi_core.weights.known`).
    """
    names = sorted(names)
    seen = Seen(checkpoint.files, names)
    if seen.digest:
        return {name: convert(name, checkpoint[name]) for name in names}, seen.digest
    total, found = hashlib.sha256(), {}
    with ThreadPoolExecutor(THREADS) as pool:
        for name, tensor, digest in _examined(pool, checkpoint, names):
            total.update(f"{name} {list(tensor.shape)} {tensor.dtype} {digest}\n".encode())
            found[name] = convert(name, tensor)
    seen.remember(total.hexdigest())
    return found, total.hexdigest()


def contents_digest(checkpoint: Checkpoint) -> str:
    """The digest alone, of all tensors; `MagiError` as `read_sound`."""
    nothing = torch.empty(0)
    return read_sound(checkpoint, checkpoint, lambda _name, _tensor: nothing)[1]


def _examined(
    pool: ThreadPoolExecutor, checkpoint: Checkpoint, names: Iterable[str]
) -> Iterator[tuple[str, Tensor, str]]:
    """Name, tensor and its digest in order. A few tensors are looked through ahead, while others are converted."""
    ahead: deque[tuple[str, Tensor, Future[str]]] = deque()

    def first() -> tuple[str, Tensor, str]:
        name, tensor, digest = ahead.popleft()
        return name, tensor, digest.result()

    for name in names:
        tensor = checkpoint[name]
        ahead.append((name, tensor, pool.submit(_examine, checkpoint, name, tensor)))
        if len(ahead) > 2 * THREADS:
            yield first()
    while ahead:
        yield first()


def _examine(checkpoint: Checkpoint, name: str, tensor: Tensor) -> str:
    """Digest of the numbers of a tensor; `MagiError` where some are not finite."""
    data = tensor.detach().cpu().contiguous().reshape(-1)
    if data.numel() and not _is_finite(data):
        raise MagiError(
            f"{checkpoint.path}: the tensor {echo(name, quoted=False)} holds numbers that are not finite (NaN or "
            f"infinity), so that every frame would be lost. {DOWNLOAD_AGAIN}"
        )
    return hashlib.sha256(data.view(torch.uint8).numpy().data).hexdigest()


def _is_finite(data: Tensor) -> bool:
    """Whether all numbers are; no mask of all of them is made."""
    if data.dtype in FIRST_NOT_FINITE:
        first = FIRST_NOT_FINITE[data.dtype]
        positive, negative = data.view(torch.int8).amax(), data.view(torch.uint8).amax()
        return int(positive) < first and int(negative) < (first | 0x80)
    if not data.is_floating_point():
        return True
    low, high = torch.aminmax(data)  # NaN comes through
    return bool(low.isfinite() & high.isfinite())
