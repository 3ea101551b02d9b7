"""Tensors kept in the user's own folder, by what they depend on: losing them costs time only.

A file is named by a digest, and is checked when it is read; one that is damaged is made again. The oldest go where
there are too many.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, float32

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.weights.known import cache_folder
from magi_core.writing.replacing import replacing

TENSOR = "tensor"
LEFT_BEHIND = 3600.0  # seconds after which what a killed process had begun to write goes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptTensors:
    """name: of their folder. most: bytes of all. what: one is, for the log."""

    name: str
    most: int
    what: str

    @property
    def folder(self) -> Path:
        """Where they are; to forget them, delete it. Raises RuntimeError for users without a home."""
        return cache_folder() / self.name

    def get(self, key: str, shape: tuple[int | None, ...]) -> Tensor | None:
        """What was kept under `key`, float32 of a shape where None is any length; None where there is nothing sound."""
        try:
            path = self._path(key)
            with safe_open(path, "pt") as file:
                tensor, said = file.get_tensor(TENSOR), (file.metadata() or {}).get("digest")
            os.utime(path)  # it is of use
        except (OSError, RuntimeError, SafetensorError):
            return None
        alike = tensor.ndim == len(shape) and all(
            wanted in (None, length) for wanted, length in zip(shape, tensor.shape, strict=True)
        )
        return tensor if alike and tensor.dtype == float32 and digest(tensor) == said else None

    def put(self, key: str, tensor: Tensor) -> None:
        """Keep a float32 tensor under `key`. Being unable to costs time only. `tidy` comes after one or several."""
        try:
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, self.what, errors=(SafetensorError,)) as part:
                save_file({TENSOR: tensor.contiguous()}, part, {"digest": digest(tensor)})
        except (OSError, RuntimeError, MagiError) as error:
            log.debug("%s is not kept: %s", self.what, error)

    def tidy(self) -> None:
        """Files beyond `most` bytes go, those first that were of no use for longest; and what was never finished."""
        try:
            stats = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
            for part in self.folder.glob(".*.part"):
                if time.time() - part.stat().st_mtime > LEFT_BEHIND:
                    shutil.rmtree(part, ignore_errors=True)
            taken = sum(stat.st_size for stat, _ in stats)
            for stat, path in sorted(stats, key=lambda found: found[0].st_mtime):
                if taken <= self.most:
                    return
                path.unlink(missing_ok=True)
                taken -= stat.st_size
        except (OSError, RuntimeError) as error:  # another process tidies, or there is no home
            log.debug("%s: %s", self.what, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{digest(key)}.safetensors"
