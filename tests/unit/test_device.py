"""Number formats fit the device."""

from __future__ import annotations

import pytest
import torch

from magi_core.device import pick_dtype
from magi_core.errors import MagiError


def test_number_format_is_chosen_by_device_and_size() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert pick_dtype("auto", cpu, 10_000_000) == torch.float32
    assert pick_dtype("auto", cpu, 4_500_000_000) == torch.bfloat16
    assert pick_dtype("auto", gpu, 10_000_000) == torch.bfloat16
    assert pick_dtype("fp32", gpu, 1) == pick_dtype(torch.float32, gpu, 1) == torch.float32
    with pytest.raises(MagiError, match="'bf16', 'fp32' or 'fp8'"):
        pick_dtype("int8", cpu, 1)
