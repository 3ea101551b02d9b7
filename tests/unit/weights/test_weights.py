"""Checkpoints load as downloaded, lazily, or fail with a message that says what to do."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.errors import MagiError
from magi_core.weights import (
    check_state_dict,
    find_model,
    find_models,
    fingerprint,
    load_dit,
    pick_dtype,
    read_tensors,
    recognise,
    variant_from_name,
)
from magi_core.weights.header import TensorHeader
from tools.measure_load import PeakMemory, anonymous_bytes
from tools.write_random_checkpoint import main as write_random_checkpoint

GOLDEN = Path(__file__).parents[2] / "golden"
PUBLISHED = ("4.5B_base", "24B_base", "4.5B_distill_quant", "24B_distill_quant")


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


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return golden_weights("A")


@pytest.fixture
def sharded(tmp_path: Path, weights: dict[str, torch.Tensor]) -> Path:
    return write_sharded(weights, tmp_path / "4.5B_base" / "inference_weight")


def same(found, expected: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


# --- the published models ---


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_are_recognised_and_match_the_transformer(name: str) -> None:
    """Names, shapes and runtime dtypes of all four published lists equal the model's, on the meta device."""
    content = json.loads((GOLDEN / f"state_dicts/{name}.json").read_text(encoding="utf-8"))
    params = content["params"]
    headers = {key: TensorHeader(tuple(p["shape"]), getattr(torch, p["dtype"])) for key, p in params.items()}
    config = recognise(headers)
    official = DiTConfig.from_official_json(content["config"])
    assert config == DiTConfig(**{**official.__dict__, "distill": False})
    assert config.fp8 == ("quant" in name)
    built = DiT(config, device="meta", dtype=torch.bfloat16).state_dict()
    assert {name: (list(t.shape), str(t.dtype)) for name, t in built.items()} == {
        name: (p["shape"], f"torch.{p['runtime_dtype']}") for name, p in params.items()
    }


@pytest.mark.parametrize("letter", "ABCD")
def test_golden_models_are_recognised_from_shapes(letter: str) -> None:
    path = GOLDEN / f"weights_{letter}.safetensors"
    assert recognise(read_tensors(path).headers) == golden_config(letter)


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


def test_number_format_is_chosen_by_device_and_size() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert pick_dtype("auto", cpu, 10_000_000) == torch.float32
    assert pick_dtype("auto", cpu, 4_500_000_000) == torch.bfloat16
    assert pick_dtype("auto", gpu, 10_000_000) == torch.bfloat16
    assert pick_dtype("fp32", gpu, 1) == pick_dtype(torch.float32, gpu, 1) == torch.float32
    with pytest.raises(MagiError, match="'bf16' or 'fp32'"):
        pick_dtype("int8", cpu, 1)


# --- file layouts ---


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
    with pytest.raises(MagiError, match="not a readable file of plain weights"):
        read_tensors(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_compressed_shards_are_unpacked_once_beside(sharded: Path, weights: dict[str, torch.Tensor], caplog) -> None:
    compress(sharded)
    checkpoint = read_tensors(sharded)
    assert set(checkpoint.headers) == set(weights)
    assert not list(sharded.glob("*.safetensors")), "headers alone unpack nothing"
    with caplog.at_level(logging.INFO):
        assert same(checkpoint, weights)
    assert caplog.text.count("unpacking") == 3
    assert len(list(sharded.glob("*.safetensors"))) == 3
    assert not list(sharded.glob("*.partial*"))
    caplog.clear()
    assert same(read_tensors(sharded), weights)
    assert "unpacking" not in caplog.text


def test_compressed_shards_unpack_into_memory_where_nothing_can_be_written(
    sharded: Path, weights: dict[str, torch.Tensor], caplog
) -> None:
    compress(sharded)
    for file in sharded.glob("*.zst"):  # a folder in the way of the temporary file: as little can be written there
        (sharded / f"{file.with_suffix('').name}.partial-{os.getpid()}").mkdir()
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
    assert not list(sharded.glob("*.partial*"))


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


# --- base or distilled ---


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("4.5B_base/inference_weight", "base"),
        ("anything/inference_weight", "base"),
        ("anything/inference_weight.fp8", "base"),
        ("4.5B_distill/inference_weight.distill", "distill"),
        ("x/inference_weight.fp8.distill", "distill"),
        ("inference_weight.fp8.distill/model.safetensors", "distill"),
        ("inference_weight/model.safetensors.index.json", "base"),
        ("24B_distill_quant/weights", "distill"),
        ("24B_base/weights/model.safetensors", "base"),
        ("magi/4.5B_distill.safetensors", "distill"),
        ("magi/magi_4.5B_base_bf16.safetensors.zst", "base"),
        ("4.5B_distill/inference_weight", "base"),
        ("my_distill_experiments/weights", None),
        ("base_or_distill", None),
        ("weights/model.safetensors", None),
        ("database", None),
    ],
)
def test_variant_by_name(name: str, variant: str | None) -> None:
    assert variant_from_name(Path("/models") / name) == variant


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


# --- damaged and foreign files ---


def test_missing_extra_and_misshapen_tensors_make_one_error(tmp_path: Path, weights) -> None:
    broken = dict(weights)
    for i in range(2):
        del broken[f"videodit_blocks.layers.{i}.mlp_post_norm.bias"]
    broken["videodit_blocks.layers.1.extra.weight"] = torch.zeros(2)
    broken["final_linear.linear.weight"] = torch.zeros(64, 100)
    with pytest.raises(MagiError) as caught:
        load_dit(write_sharded(broken, tmp_path / "inference_weight"), device="cpu")
    message = str(caught.value)
    assert "2 tensors missing, 1 extra, 1 misshapen" in message
    assert "layers.1.mlp_post_norm.bias" in message
    assert "layers.1.extra.weight" in message
    assert "final_linear.linear.weight is 64 x 100, expected 64 x 256" in message


@pytest.mark.parametrize("kind", ["missing", "misshapen"])
def test_any_single_tensor_can_be_faulty_and_is_named(tmp_path: Path, weights, kind: str) -> None:
    """Whichever tensor it is, the ones that tell the model's size included."""
    file = tmp_path / "inference_weight" / "model.safetensors"
    file.parent.mkdir()
    tensors = dict(weights)
    names = [name for name in tensors if ".layers.1." not in name]
    assert {"x_embedder.weight", "final_linear.linear.weight", "rope.bands"} < set(names)
    for name in names:
        broken = {key: value for key, value in tensors.items() if key != name}
        if kind == "misshapen":
            broken[name] = torch.zeros(7, 5)
        save_file(broken, file)
        with pytest.raises(MagiError) as caught:
            load_dit(file, device="cpu")
        assert f"\n  {name}" in str(caught.value), name


def test_long_lists_of_faults_are_cut() -> None:
    with pytest.raises(MagiError, match="and 12 more") as caught:
        check_state_dict({f"t{i}": (1,) for i in range(20)}, {}, "folder")
    assert str(caught.value).count("\n  t") == 8
    check_state_dict({"t": torch.Size([1, 2])}, {"t": (1, 2)}, "folder")


def test_integers_in_place_of_weights_are_an_error(tmp_path: Path, weights) -> None:
    name = "videodit_blocks.layers.1.mlp.linear_fc1.weight"
    broken = {**weights, name: weights[name].to(torch.int8)}
    with pytest.raises(MagiError, match="linear_fc1.weight is int8, expected"):
        load_dit(write_sharded(broken, tmp_path / "inference_weight"), device="cpu")


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


def damage_missing_shard(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").unlink()


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
        (damage_swapped_shards, "not in the weight file that the index names"),
    ],
)
def test_damaged_checkpoints_say_what_is_wrong(sharded: Path, damage, says: str) -> None:
    damage(sharded)
    for path in (sharded, sharded.parent):
        with pytest.raises(MagiError, match=f"(?s){says}"):
            load_dit(path, device="cpu")


def test_every_cut_of_a_shard_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"a": torch.arange(5.0), "b": torch.zeros(3, dtype=torch.bfloat16)}, whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(data[:length])
        with pytest.raises(MagiError):
            read_tensors(cut)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"encoder.cls_token": torch.zeros(1)}, "it is the VAE"),
        ({"encoder.block.0.layer.0.layer_norm.weight": torch.zeros(1)}, "T5 text encoder"),
        ({"videodit_blocks.layers.self_attention.linear_qkv.weight": torch.zeros(1)}, "MAGI-1.1"),
        ({"condition_embedder.time_embedder.linear_1.weight": torch.zeros(1)}, "diffusers layout"),
        ({"conv.weight": torch.zeros(1)}, r"other tensors \(conv.weight\)"),
    ],
)
def test_other_models_are_named(tmp_path: Path, tensors: dict[str, torch.Tensor], says: str) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(MagiError, match=f"not a MAGI-1 transformer: .*{says}"):
        load_dit(tmp_path, variant="base", device="cpu")


def test_folders_and_paths_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="is not a model folder"):
        load_dit(tmp_path, device="cpu")
    with pytest.raises(MagiError, match="check the path"):
        load_dit(tmp_path / "absent", device="cpu")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(MagiError, match="not a weight file"):
        load_dit(tmp_path / "notes.txt", device="cpu")


# --- finding models and their parts ---


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


# --- fingerprint ---


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


# --- the full-size tools at small size ---


def test_random_fp8_checkpoint_is_written_and_loads(tmp_path: Path) -> None:
    """The tool that writes full-size checkpoints, on the published fp8 list cut to three narrow layers."""
    content = json.loads((GOLDEN / "state_dicts/4.5B_distill_quant.json").read_text(encoding="utf-8"))
    small = {
        4096: 64,
        3072: 256,
        12288: 512,
        6144: 512,
        1024: 128,
        2048: 256,
        768: 64,
        128: 32,
        800: 16,
        16: 16,
    }
    kept = {name: p for name, p in content["params"].items() if ".layers." not in name or int(name.split(".")[2]) < 2}
    last = {name.replace(".layers.0.", ".layers.2."): p for name, p in kept.items() if ".layers.0." in name}
    params = {
        name: {"shape": [small.get(n, n) for n in p["shape"]], "dtype": p["dtype"]}
        for name, p in {**kept, **last}.items()
    }
    params["rope.bands"]["shape"] = [4]
    listing = tmp_path / "small.json"
    listing.write_text(json.dumps({"config": content["config"], "params": params}), encoding="utf-8")
    write_random_checkpoint([str(listing), str(tmp_path), "--shard-gb", "0.001"])
    folder = tmp_path / "small" / "inference_weight.fp8.distill"
    assert len(list(folder.glob("*.safetensors"))) > 2
    dit = load_dit(folder, device="cpu", dtype="bf16")
    assert dit.config.fp8
    assert dit.config.distill
    state = dit.state_dict()
    name = "videodit_blocks.layers.1.self_attention.linear_qkv.q."
    assert state[name + "weight"].dtype == torch.float8_e4m3fn
    assert state[name + "input_scale"].dtype == torch.float32
    assert same({k: v.float() for k, v in state.items()}, {k: v.float() for k, v in read_tensors(folder).items()})
