"""Embeddings of prompts, kept in the user's own folder: a prompt that was read before needs no text encoder.

T5-XXL takes 9 to 19 GB, and longer to load than to use. A file is named by a digest of what it depends on, holds no
words, and is checked when it is read; one that is damaged is made again. The oldest go where there are too many.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, float32

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.weights.known import cache_folder
from magi_core.writing.replacing import replacing

MOST = 1 << 29  # bytes: 600 prompts of 50 tokens of T5-XXL
TENSOR = "tokens"
log = logging.getLogger(__name__)


def prompts_folder() -> Path:
    """Where they are; to forget them, delete it. Raises RuntimeError for users without a home."""
    return cache_folder() / "prompts"


def kept(key: str, channels: int) -> Tensor | None:
    """What was kept under `key`, [L, channels] float32; None where there is nothing sound."""
    try:
        path = _path(key)
        with safe_open(path, "pt") as file:
            tokens, said = file.get_tensor(TENSOR), (file.metadata() or {}).get("digest")
        os.utime(path)  # it is of use
    except (OSError, RuntimeError, SafetensorError):
        return None
    sound = tokens.ndim == 2 and tokens.shape[1] == channels and tokens.dtype == float32 and digest(tokens) == said
    return tokens if sound else None


def keep(key: str, tokens: Tensor) -> None:
    """Keep `tokens` [L, channels] float32 under `key`. Being unable to costs time only."""
    try:
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, "an encoded prompt", errors=(SafetensorError,)) as part:
            save_file({TENSOR: tokens.contiguous()}, part, {"digest": digest(tokens)})
        _forget_oldest(path.parent)
    except (OSError, RuntimeError, MagiError) as error:
        log.debug("an encoded prompt is not kept: %s", error)


def _path(key: str) -> Path:
    return prompts_folder() / f"{digest(key)}.safetensors"


def _forget_oldest(folder: Path) -> None:
    """Files beyond `MOST` bytes go, those first that were of no use for longest."""
    found = [(stat.st_mtime, stat.st_size, path) for path in folder.glob("*.safetensors") if (stat := path.stat())]
    taken = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if taken <= MOST:
            return
        path.unlink(missing_ok=True)
        taken -= size
