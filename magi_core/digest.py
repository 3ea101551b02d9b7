"""Content digests: equal inputs give equal keys, in this process and the next."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor


def digest(*parts: Any) -> str:
    """Hex digest of tensors (bytes, dtype, shape), of bytes, and of the repr of anything else, in order."""
    hasher = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            flat = part.detach().cpu().contiguous()
            hasher.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
            hasher.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        elif isinstance(part, bytes):
            hasher.update(part)
        else:
            hasher.update(repr(part).encode())
        hasher.update(b"\0")
    return hasher.hexdigest()
