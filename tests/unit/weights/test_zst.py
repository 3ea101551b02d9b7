"""Compressed shards are unpacked once, beside themselves or into memory."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.weights import fingerprint, read_tensors
from magi_core.writing.claim import Claim
from tests.unit.weights.checkpoints import compress, same, write_sharded


def test_compressed_shards_are_unpacked_once_beside(sharded: Path, weights: dict[str, torch.Tensor], caplog) -> None:
    compress(sharded)
    checkpoint = read_tensors(sharded)
    assert set(checkpoint.headers) == set(weights)
    assert not list(sharded.glob("*.safetensors")), "headers alone unpack nothing"
    with caplog.at_level(logging.INFO):
        assert same(checkpoint, weights)
    assert caplog.text.count("unpacking") == 3
    assert len(list(sharded.glob("*.safetensors"))) == 3
    assert not list(sharded.glob(".*"))
    caplog.clear()
    assert same(read_tensors(sharded), weights)
    assert "unpacking" not in caplog.text


def test_compressed_shards_unpack_into_memory_where_nothing_can_be_written(
    sharded: Path, weights: dict[str, torch.Tensor], caplog
) -> None:
    compress(sharded)
    for file in sharded.glob("*.zst"):  # a folder in the way of the lock: as little can be written there
        (sharded / f".{file.with_suffix('').name}.magi-lock").mkdir()
    checkpoint = read_tensors(sharded)
    assert same(checkpoint, weights)
    assert "into memory" in caplog.text
    assert not list(sharded.glob("*.safetensors"))
    assert fingerprint(checkpoint) == fingerprint(write_sharded(weights, sharded.parent / "plain"))


def test_compressed_shards_without_zstandard_name_the_package(sharded: Path, monkeypatch) -> None:
    compress(sharded)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MagiError, match="pip install zstandard"):
        read_tensors(sharded)


def test_cut_off_compressed_shard_is_reported(sharded: Path) -> None:
    compress(sharded)
    file = sorted(sharded.glob("*.zst"))[1]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(MagiError, match=f"(?s){file.name}.*download it again"):
        dict(read_tensors(sharded))
    assert not list(sharded.glob(".*"))


def test_shards_that_another_process_unpacks_are_refused_until_it_is_done(sharded: Path) -> None:
    compress(sharded)
    plain = sorted(sharded.glob("*.zst"))[0].with_suffix("")
    with Claim(plain), pytest.raises(MagiError, match="the unpacked weights .* is being written by another run: wait"):
        dict(read_tensors(sharded))
