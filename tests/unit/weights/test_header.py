"""A file that was cut off is noticed from its header."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.weights import read_tensors


def test_every_cut_of_a_shard_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"a": torch.arange(5.0), "b": torch.zeros(3, dtype=torch.bfloat16)}, whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(data[:length])
        with pytest.raises(MagiError):
            read_tensors(cut)
