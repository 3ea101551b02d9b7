"""Numbers that latents and texts can have."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 1e5  # latents are of about 1, of 10 at most; what a text encoder gives is of hundreds at most


def implausible(tensor: Tensor) -> str:
    """What is wrong with the values of `tensor`, in words after "has"; "" where nothing is, or where it has none."""
    if not tensor.numel() or tensor.is_meta:
        return ""
    values = tensor.detach().float()
    largest = float(torch.maximum(values.amax(), -values.amin()))  # not-a-number goes through both
    if largest <= LARGEST:
        return ""
    if bool(values.isfinite().all()):
        return f"values as large as {largest:.3g}, which no video has"
    return "values that are not numbers (NaN or infinite)"
