"""Models and their parts are found from any level of a download."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.weights import find_model, find_models, load_dit
from magi_core.weights.find import tokenizer_folder
from tests.unit.weights.checkpoints import damage_missing_shard, put_t5, put_tokens, put_vae, write_sharded


@pytest.fixture
def official(tmp_path: Path, weights) -> dict[str, Path]:
    """The official download beside the reference's code: ckpt/... and example/assets."""
    root = tmp_path / "MAGI-1"
    return {
        "root": root,
        "dit": write_sharded(weights, root / "ckpt/magi/4.5B_base/inference_weight"),
        "vae": put_vae(root / "ckpt/vae"),
        "t5": put_t5(root / "ckpt/t5/t5-v1_1-xxl"),
        "tokens": put_tokens(root / "example/assets"),
    }


@pytest.mark.parametrize(
    "level", ["", "ckpt", "ckpt/magi", "ckpt/magi/4.5B_base", "ckpt/magi/4.5B_base/inference_weight"]
)
def test_official_download_is_found_from_any_level(official: dict[str, Path], level: str) -> None:
    files = find_model(official["root"] / level)
    assert (files.dit, files.vae, files.t5) == (official["dit"], official["vae"], official["t5"])
    assert (files.variant, files.config.num_layers, files.problem) == ("base", 2, "")
    if level in ("", "ckpt", "ckpt/magi"):
        assert files.special_tokens == official["tokens"]
        assert files.missing == ()


def test_a_tokenizer_in_the_folder_beside_is_found_as_diffusers_stores_it(tmp_path: Path, weights) -> None:
    write_sharded(weights, tmp_path / "transformer")
    t5 = put_t5(tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    (t5 / "spiece.model").rename(tmp_path / "tokenizer/spiece.model")
    assert find_model(tmp_path).t5 == t5 and tokenizer_folder(t5) == tmp_path / "tokenizer"
    (t5 / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert tokenizer_folder(t5) == t5


def test_reference_downloads_folder_is_found(tmp_path: Path, weights) -> None:
    dit = write_sharded(weights, tmp_path / "downloads/4.5B_distill/inference_weight.distill")
    t5 = put_t5(tmp_path / "downloads/t5_pretrained/t5-v1_1-xxl")
    vae = put_vae(tmp_path / "downloads/vae")
    files = find_model(tmp_path / "downloads/4.5B_distill")
    assert (files.dit, files.vae, files.t5, files.variant) == (dit, vae, t5, "distill")


def test_bundled_layout_is_found(tmp_path: Path, weights) -> None:
    (tmp_path / "nano/inference_weight").mkdir(parents=True)
    save_file(weights, tmp_path / "nano/inference_weight/model.safetensors")
    vae, t5, tokens = (
        put_vae(tmp_path / "nano/vae"),
        put_t5(tmp_path / "nano/t5"),
        put_tokens(tmp_path / "nano"),
    )
    files = find_model(tmp_path / "nano")
    assert (files.vae, files.t5, files.special_tokens, files.missing) == (vae, t5, tokens, ())
    assert files.dit == tmp_path / "nano/inference_weight"
    assert files.label == "1.0M base"


def test_missing_parts_say_where_to_get_them(sharded: Path) -> None:
    files = find_model(sharded)
    assert [m.part for m in files.missing] == ["VAE", "text encoder", "special tokens"]
    assert "sand-ai/MAGI-1" in files.missing[0].where
    assert "DeepFloyd/t5-v1_1-xxl" in files.missing[1].where
    assert "special_tokens.npz" in files.missing[2].where


def test_several_models_are_a_choice(tmp_path: Path, weights) -> None:
    base = write_sharded(weights, tmp_path / "4.5B/inference_weight")
    distill = write_sharded(weights, tmp_path / "4.5B/inference_weight.distill")
    with pytest.raises(MagiError, match=r"holds 2 models: inference_weight, inference_weight.distill. Choose one"):
        find_model(tmp_path / "4.5B")
    assert find_model(tmp_path / "4.5B", "base").dit == base
    assert find_model(tmp_path / "4.5B", "distill").dit == distill
    assert load_dit(tmp_path / "4.5B", variant="distill", device="cpu").config.distill


def test_models_folder_lists_all_and_names_the_broken(tmp_path: Path, official, weights) -> None:
    models = official["root"].parent
    save_file(weights, models / "my_4.5B_distill.safetensors")
    broken = write_sharded(weights, models / "broken/inference_weight")
    damage_missing_shard(broken)
    save_file({"lora.weight": torch.zeros(1)}, models / "other.safetensors")
    found = {files.dit: files for files in find_models([models, models / "absent", official["dit"]])}
    assert set(found) == {official["dit"], models / "my_4.5B_distill.safetensors", broken}
    assert found[models / "my_4.5B_distill.safetensors"].variant == "distill"
    assert "lacks 1 of 3 weight files" in found[broken].problem
    assert found[broken].label == "unreadable"
