"""A transformer loads as downloaded with every value, or fails with a message that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.weights import load_dit
from tests.unit.weights.checkpoints import (
    GOLDEN,
    damage_missing_shard,
    golden_config,
    golden_weights,
    same,
    write_sharded,
)


@pytest.mark.parametrize("letter", "AB")
def test_golden_models_in_official_layout_load_with_every_value(tmp_path: Path, letter: str) -> None:
    weights = golden_weights(letter)
    folder = write_sharded(weights, tmp_path / "inference_weight")
    dit = load_dit(folder, device="cpu")
    assert dit.config == golden_config(letter)
    assert dit.dtype == torch.float32
    assert same(dit.state_dict(), {name: tensor.float() for name, tensor in weights.items()})
    assert not dit.training
    assert not any(p.requires_grad for p in dit.parameters())


def test_bfloat16_keeps_the_float32_islands(sharded: Path, weights: dict[str, torch.Tensor]) -> None:
    state = load_dit(sharded, device="cpu", dtype="bf16").state_dict()
    block = "videodit_blocks.layers.0.self_attention."
    assert state[block + "q_layernorm.weight"].dtype == torch.float32
    assert state["rope.bands"].dtype == state["x_embedder.weight"].dtype == torch.float32
    assert state[block + "q_layernorm_xattn.weight"].dtype == torch.bfloat16
    assert state[block + "linear_qkv.q.weight"].dtype == torch.bfloat16
    assert torch.equal(state["rope.bands"], weights["rope.bands"].float())


def test_fp8_on_load_brings_the_large_linears_to_it_and_nothing_else(sharded: Path, weights) -> None:
    """Of four blocks the inner two, as in fp8 checkpoints; each row within a part in 16 of what it was."""
    exact, state = (
        load_dit(sharded, device="cpu").state_dict(),
        load_dit(sharded, device="cpu", dtype="fp8").state_dict(),
    )
    eights = {name for name, tensor in state.items() if tensor.dtype == torch.float8_e4m3fn}
    layers = {int(name.split(".")[2]) for name in eights}
    assert len(eights) == 7 * len(layers) and layers == set(range(1, golden_config("A").num_layers - 1))
    for name, tensor in exact.items():
        if name in eights:
            whole = state[name].float() * state[name + "_scale"]
            assert ((whole - tensor).norm(dim=-1) <= tensor.norm(dim=-1) / 16).all(), name
        else:
            assert torch.equal(state[name], tensor), name


def test_undecidable_variant_is_an_error_and_the_explicit_one_wins(tmp_path, weights) -> None:
    folder = write_sharded(weights, tmp_path / "weights")
    with pytest.raises(MagiError, match="Choose variant 'base' or 'distill'"):
        load_dit(folder, device="cpu")
    assert load_dit(folder, variant="distill", device="cpu").config.distill
    named = write_sharded(weights, tmp_path / "inference_weight.distill")
    assert load_dit(named, device="cpu").config.distill
    assert not load_dit(named, variant="base", device="cpu").config.distill
    with pytest.raises(MagiError, match="unknown variant 'fast'"):
        load_dit(named, variant="fast", device="cpu")


def test_official_json_settles_what_shapes_cannot_show(sharded: Path) -> None:
    content = json.loads((GOLDEN / "weights_A.json").read_text(encoding="utf-8"))["config"]
    content["model_config"]["x_rescale_factor"] = 0.5
    file = sharded.parent / "4.5B_base_config.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    assert load_dit(sharded, device="cpu").config.x_rescale_factor == 0.5
    content["model_config"]["num_layers"] = 7
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(MagiError, match="num_layers 7 instead of 2"):
        load_dit(sharded, device="cpu")


def damage_cut_shard(folder: Path) -> None:
    file = folder / "model-00002-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def damage_cut_header(folder: Path) -> None:
    file = folder / "model-00002-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:200])


def damage_empty_shard(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").write_bytes(b"")


def damage_garbled_header(folder: Path) -> None:
    file = folder / "model-00002-of-00003.safetensors"
    data = bytearray(file.read_bytes())
    data[8:40] = bytes(32)
    file.write_bytes(data)


def damage_web_page(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").write_text("<!DOCTYPE html><html>404</html>", encoding="utf-8")


def damage_lfs_pointer(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4999999999\n"
    (folder / "model-00002-of-00003.safetensors").write_text(text, encoding="utf-8")


def damage_missing_shard_and_index(folder: Path) -> None:
    damage_missing_shard(folder)
    (folder / "model.safetensors.index.json").unlink()


def damage_cut_index(folder: Path) -> None:
    file = folder / "model.safetensors.index.json"
    file.write_text(file.read_text(encoding="utf-8")[:300], encoding="utf-8")


def damage_index_without_map(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")


def damage_index_pointing_outside(folder: Path) -> None:
    content = {"weight_map": {"rope.bands": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content), encoding="utf-8")


def damage_index_with_a_long_name(folder: Path) -> None:
    content = {"weight_map": {"rope.bands": "m" * 300 + ".safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content), encoding="utf-8")


def damage_swapped_shards(folder: Path) -> None:
    first, second = folder / "model-00001-of-00003.safetensors", folder / "model-00002-of-00003.safetensors"
    first.write_bytes(second.read_bytes())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_cut_shard, "model-00002-of-00003.safetensors has .* bytes where its header promises"),
        (damage_cut_header, "model-00002-of-00003.safetensors ends inside its header.*download it again"),
        (damage_empty_shard, "model-00002-of-00003.safetensors is not a safetensors file"),
        (damage_garbled_header, "model-00002-of-00003.safetensors has an unreadable header"),
        (damage_web_page, "model-00002-of-00003.safetensors is not a safetensors file"),
        (damage_lfs_pointer, "Git LFS pointer.*git lfs pull"),
        (damage_missing_shard, "lacks 1 of 3 weight files: model-00002-of-00003.safetensors"),
        (damage_missing_shard_and_index, "lacks weight files: part 2 of 3"),
        (damage_cut_index, "model.safetensors.index.json cannot be read.*download it again"),
        (damage_index_without_map, "index.json cannot be read"),
        (damage_index_pointing_outside, "outside its folder"),
        (damage_index_with_a_long_name, "lacks 1 of 1 weight files: mmm"),
        (damage_swapped_shards, "not in the weight file that the index names"),
    ],
)
def test_damaged_checkpoints_say_what_is_wrong(sharded: Path, damage, says: str) -> None:
    damage(sharded)
    for path in (sharded, sharded.parent):
        with pytest.raises(MagiError, match=f"(?s){says}"):
            load_dit(path, device="cpu")


def test_folders_and_paths_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="is not a model folder"):
        load_dit(tmp_path, device="cpu")
    with pytest.raises(MagiError, match="check the path"):
        load_dit(tmp_path / "absent", device="cpu")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(MagiError, match="not a weight file"):
        load_dit(tmp_path / "notes.txt", device="cpu")
