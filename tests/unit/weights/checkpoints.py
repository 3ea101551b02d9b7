"""Checkpoints of golden size in the layouts that are downloaded, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from magi_core.config import DiTConfig
from magi_core.weights import layouts

Tensors = dict[str, torch.Tensor]
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


def prefixed(weights: Tensors, prefix: str) -> Tensors:
    return {prefix + name: tensor for name, tensor in weights.items()}


def in_diffusers(weights: Tensors) -> Tensors:
    """As diffusers' conversion of the official files names and cuts them."""
    renamed: Tensors = {}
    for name, tensor in weights.items():
        if name.startswith(("t_embedder.", "y_embedder.")):
            name = f"condition_embedder.{name}"
        name = name.replace("videodit_blocks.layers.", "transformer_blocks.")
        name = name.replace("videodit_blocks.final_layernorm", "final_layernorm")
        name = name.replace("final_linear.linear", "final_linear")
        if name.endswith("linear_kv_xattn.weight"):
            stem = name.removesuffix(".weight")
            renamed |= {f"{stem}.projections.{i}.weight": part.clone() for i, part in enumerate(tensor.chunk(8))}
        else:
            renamed[name] = tensor
    return renamed


def stacked(weights: Tensors, packing: layouts.Packing | None = None) -> Tensors:
    """Layers as one tensor each, q, qx, k and v of a layer as one matrix where a packing is given."""
    stem = "videodit_blocks.layers."
    layers = sorted({name.split(".")[2] for name in weights if name.startswith(stem)}, key=int)
    found = {name: tensor for name, tensor in weights.items() if not name.startswith(stem)}
    for name in [name.split(".", 3)[3] for name in weights if name.startswith(f"{stem}0.")]:
        found[stem + name] = torch.stack([weights[f"{stem}{layer}.{name}"] for layer in layers])
    if packing is not None:
        qkv = f"{stem}self_attention.linear_qkv."
        parts = {name: found.pop(f"{qkv}{name}.weight") for name in ("q", "qx", "k", "v")}
        groups = golden_config("B").num_groups if packing.by_group else 1
        cut = {name: part.chunk(groups, dim=1) for name, part in parts.items()}
        rows = [cut[name][group] for group in range(groups) for name in packing.order]
        found[f"{qkv}weight"] = torch.cat(rows, dim=1)
    return found


def put_vae(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    save_file({"encoder.cls_token": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    return folder


def put_t5(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "t5", "d_kv": 64}', encoding="utf-8")
    (folder / "spiece.model").write_bytes(b"")
    torch.save({"shared.weight": torch.zeros(1)}, folder / "pytorch_model-00001-of-00001.bin")
    return folder


def put_tokens(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "special_tokens.npz").write_bytes(b"")
    return folder / "special_tokens.npz"
