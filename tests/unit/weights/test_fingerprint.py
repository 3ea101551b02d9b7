"""The fingerprint follows the weights, not their place or their packing."""

from __future__ import annotations

from pathlib import Path

from magi_core.weights import fingerprint
from tests.unit.weights.checkpoints import compress, write_sharded


def test_fingerprint_follows_the_weights_not_the_place(tmp_path: Path, weights) -> None:
    first = write_sharded(weights, tmp_path / "one")
    second = write_sharded(weights, tmp_path / "two")
    assert fingerprint(first) == fingerprint(second)
    name = sorted(weights)[-1]
    changed = {**weights, name: weights[name] + 1}
    assert fingerprint(write_sharded(changed, tmp_path / "three")) != fingerprint(first)
    renamed = {("x" if key == name else key): value for key, value in weights.items()}
    assert fingerprint(write_sharded(renamed, tmp_path / "four")) != fingerprint(first)


def test_fingerprint_of_compressed_shards_equals_the_plain(sharded: Path) -> None:
    plain = fingerprint(sharded)
    compress(sharded)
    assert fingerprint(sharded) == plain
