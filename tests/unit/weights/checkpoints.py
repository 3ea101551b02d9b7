"""Checkpoints of golden size in the layouts that are downloaded, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from magi_core.config import DiTConfig

GOLDEN = Path(__file__).parents[2] / "golden"


def golden_weights(letter: str) -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / f"weights_{letter}.safetensors")


def golden_config(letter: str) -> DiTConfig:
    content = json.loads((GOLDEN / f"weights_{letter}.json").read_text(encoding="utf-8"))
    return DiTConfig.from_official_json(content["config"])


def write_sharded(
    tensors: dict[str, torch.Tensor], folder: Path, shards: int = 3, suffix: str = ".safetensors"
) -> Path:
    """`tensors` in the official layout: an index and numbered shards."""
    folder.mkdir(parents=True, exist_ok=True)
    names, weight_map = sorted(tensors), {}
    for i in range(shards):
        part = {name: tensors[name].clone() for name in names[i::shards]}
        file = f"model-{i + 1:05d}-of-{shards:05d}{suffix}"
        if suffix == ".bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    stem = "pytorch_model" if suffix == ".bin" else "model"
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    return folder


def compress(folder: Path) -> None:
    """Replaces every shard by its `.zst`."""
    zstandard = pytest.importorskip("zstandard")
    for file in folder.glob("*.safetensors"):
        file.with_name(file.name + ".zst").write_bytes(zstandard.compress(file.read_bytes()))
        file.unlink()


def same(found, expected: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def damage_missing_shard(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").unlink()
