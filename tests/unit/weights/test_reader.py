"""Every layout of a checkpoint is read, lazily and without running code from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.weights import read_tensors
from tests.unit.weights.checkpoints import GOLDEN, same, write_sharded
from tools.measure_load import PeakMemory, anonymous_bytes


def test_sharded_folder_index_and_file_all_read(sharded: Path, weights: dict[str, torch.Tensor]) -> None:
    assert same(read_tensors(sharded), weights)
    assert same(read_tensors(sharded / "model.safetensors.index.json"), weights)
    assert same(read_tensors(GOLDEN / "weights_A.safetensors"), weights)
    assert len(read_tensors(sharded / "model-00001-of-00003.safetensors")) < len(weights)


def test_numbered_shards_read_without_index(sharded: Path, weights: dict[str, torch.Tensor]) -> None:
    (sharded / "model.safetensors.index.json").unlink()
    assert same(read_tensors(sharded), weights)


def test_bin_shards_read(tmp_path: Path, weights: dict[str, torch.Tensor]) -> None:
    assert same(read_tensors(write_sharded(weights, tmp_path / "t5", suffix=".bin")), weights)


def test_bin_files_of_old_torch_read(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0)}
    torch.save(tensors, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert same(read_tensors(tmp_path), tensors)


def test_bin_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"a": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(MagiError, match="such as code that runs while it is read: it is not opened") as refused:
        read_tensors(tmp_path)
    assert "weights_only" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_tensors_are_mapped_not_copied(tmp_path: Path) -> None:
    """Reading 200 MB of tensors to the last value takes next to no memory of the process's own."""
    save_file(
        {f"t{i}": torch.ones(20_000_000 // 2, dtype=torch.bfloat16) for i in range(10)},
        tmp_path / "a.safetensors",
    )
    before = anonymous_bytes()
    with PeakMemory() as peak:
        tensors = dict(read_tensors(tmp_path))
        assert all(tensor.view(torch.int16).max() == tensor.view(torch.int16).min() for tensor in tensors.values())
    assert peak.bytes - before < 20_000_000
