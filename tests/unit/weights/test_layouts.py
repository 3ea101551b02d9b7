"""Renamed, prefixed and stacked checkpoints are the same model as the official files, or are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.vae.config import VAEConfig
from magi_core.weights import find_model, find_models, is_vae_folder, layouts, load_dit, read_tensors
from tests.unit.weights.checkpoints import (
    Tensors,
    golden_config,
    golden_weights,
    in_diffusers,
    prefixed,
    same,
    stacked,
    write_sharded,
)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("change", [dict, in_diffusers])
def test_a_prefix_is_left_out(tmp_path: Path, prefix: str, change: Callable[[Tensors], Tensors]) -> None:
    weights = golden_weights("A")
    beside = {"first_stage_model.decoder.weight": torch.zeros(1)}  # of another model in the same file
    file = tmp_path / "magi_base.safetensors"
    save_file(prefixed(change(weights), prefix) | beside, file)
    assert same(load_dit(file, device="cpu").state_dict(), {n: t.float() for n, t in weights.items()})
    assert [files.problem for files in find_models([tmp_path])] == [""]


@pytest.mark.parametrize("letter", "AB")
def test_a_diffusers_folder_is_the_same_model(tmp_path: Path, letter: str) -> None:
    weights, config = golden_weights(letter), golden_config(letter)
    folder = write_sharded(in_diffusers(weights), tmp_path / "MAGI-1-Diffusers" / "transformer")
    for name in ("model-00001-of-00003", "model-00002-of-00003", "model-00003-of-00003"):
        (folder / f"{name}.safetensors").rename(folder / f"diffusion_pytorch_{name}.safetensors")
    index = (folder / "model.safetensors.index.json").read_text().replace("model-0", "diffusion_pytorch_model-0")
    (folder / "model.safetensors.index.json").unlink()
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(index)
    doubled = 2 if config.half_channel_vae else 1
    described = {
        "_class_name": "MagiTransformer3DModel",
        "num_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_groups,
        "attention_head_dim": config.head_dim,
        "ffn_dim": config.ffn_hidden_size,
        "caption_channels": config.caption_channels,
        "caption_max_length": config.caption_max_length,
        "in_channels": config.in_channels // doubled,
        "out_channels": config.out_channels // doubled,
        "duplicate_channels": config.half_channel_vae,
        "x_rescale_factor": config.x_rescale_factor,
        "gated_linear_unit": config.gated,
        "norm_eps": config.layernorm_epsilon,
        "distilled": True,
    }
    (folder / "config.json").write_text(json.dumps(described))
    files = find_model(tmp_path)
    assert (files.dit, files.variant) == (folder, "distill"), "the configuration tells what the names do not"
    dit = load_dit(tmp_path, device="cpu")
    assert dit.config.distill and dit.config.x_rescale_factor == config.x_rescale_factor
    assert same(dit.state_dict(), {name: tensor.float() for name, tensor in weights.items()})
    (folder / "config.json").write_text(json.dumps(described | {"patch_size": 3}))
    with pytest.raises(MagiError, match="does not say how this model is built"):
        load_dit(folder, device="cpu")


def test_a_missing_part_of_a_projection_is_named(tmp_path: Path) -> None:
    tensors = in_diffusers(golden_weights("A"))
    del tensors["transformer_blocks.1.self_attention.linear_kv_xattn.projections.3.weight"]
    save_file(tensors, tmp_path / "base.safetensors")
    with pytest.raises(MagiError, match=r"(?s)missing \(1\):.*layers.1.self_attention.linear_kv_xattn.weight"):
        load_dit(tmp_path / "base.safetensors", device="cpu")


def test_a_diffusers_vae_is_recognised(tmp_path: Path) -> None:
    sizes = {"in_channels": 3, "latent_channels": 4, "embed_dim": 1024, "num_layers": 2, "num_attention_heads": 2}
    config = {"_class_name": "AutoencoderKLMagi", "sample_size": 32, "sample_frames": 8, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"encoder.position_embedding.cls_token": torch.ones(1)}, tmp_path / "model.safetensors")
    assert is_vae_folder(tmp_path)
    assert list(read_tensors(tmp_path)) == ["encoder.cls_token"]
    read = VAEConfig.from_json(config)
    assert (read.depth, read.num_heads, read.z_chans, read.video_size, read.video_length) == (2, 2, 4, 32, 8)
    assert read.ln_in_attn and read.qkv_bias


def test_other_diffusers_models_keep_their_names(tmp_path: Path) -> None:
    names = {"transformer_blocks.0.attn.to_q.weight", "condition_embedder.time_embedder.linear_1.weight"}
    save_file({name: torch.zeros(2) for name in names}, tmp_path / "other.safetensors")
    assert set(read_tensors(tmp_path)) == names
    assert find_models([tmp_path]) == []


def test_stacked_layers_are_unstacked(tmp_path: Path) -> None:
    weights = golden_weights("B")
    save_file(stacked(weights), tmp_path / "base.safetensors")
    loaded = load_dit(tmp_path / "base.safetensors", device="cpu").state_dict()
    assert same(loaded, {name: tensor.float() for name, tensor in weights.items()})


@pytest.mark.parametrize("by_group", [False, True])
def test_packed_layers_are_read_once_their_packing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_group: bool
) -> None:
    packing = layouts.Packing(("k", "q", "v", "qx"), by_group)
    weights = golden_weights("B")
    save_file(stacked(weights, packing), tmp_path / "base.safetensors")
    monkeypatch.setattr(layouts, "PACKING", packing)
    loaded = load_dit(tmp_path / "base.safetensors", device="cpu").state_dict()
    assert same(loaded, {name: tensor.float() for name, tensor in weights.items()})


def test_packed_magi_1_1_is_refused_by_name(tmp_path: Path) -> None:
    tensors = stacked(golden_weights("B"), layouts.Packing(("q", "qx", "k", "v")))
    size = " x ".join(map(str, tensors["videodit_blocks.layers.self_attention.linear_qkv.weight"].shape))
    folder = write_sharded(tensors, tmp_path / "24B_base")
    with pytest.raises(MagiError, match=rf"MAGI-1.1 .* \(linear_qkv.weight, {size}\).*has not been published"):
        load_dit(folder, variant="base", device="cpu")
    (listed,) = find_models([tmp_path])
    assert "MAGI-1.1" in listed.problem


def test_a_packed_layer_alone_is_refused_by_the_same_name(tmp_path: Path) -> None:
    tensors = golden_weights("A")
    for name in [name for name in tensors if ".linear_qkv." in name and "norm" not in name]:
        del tensors[name]
    tensors |= {f"videodit_blocks.layers.{i}.self_attention.linear_qkv.weight": torch.zeros(4, 2) for i in range(2)}
    save_file(tensors, tmp_path / "base.safetensors")
    with pytest.raises(MagiError, match=r"MAGI-1.1 .*4 x 2.*has not been published"):
        load_dit(tmp_path / "base.safetensors", device="cpu")


def test_a_header_cannot_ask_for_any_number_of_layers(tmp_path: Path) -> None:
    names = [f"videodit_blocks.layers.a{i}.weight" for i in range(101)]
    save_file({name: torch.zeros(1000, 0) for name in names}, tmp_path / "base.safetensors")
    assert len(read_tensors(tmp_path / "base.safetensors")) == len(names)


def test_a_damaged_configuration_of_one_model_leaves_the_choice_of_another(tmp_path: Path) -> None:
    weights = golden_weights("A")
    for name in ("one", "two_base", "three_distill"):
        write_sharded(weights, tmp_path / name)
    (tmp_path / "one" / "config.json").write_text('{"_class_name": "MagiTransformer3DModel", "patch_size": 3}')
    with pytest.raises(MagiError, match="holds 2 models: one, two_base"):
        find_model(tmp_path, "base")
