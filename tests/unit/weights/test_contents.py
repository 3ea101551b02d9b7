"""Numbers that are not finite are found while loading, and the digest tells whether all numbers are the same."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import magi_core
from magi_core.errors import MagiError
from magi_core.text import load_text_encoder
from magi_core.vae import load_vae
from magi_core.weights import contents, contents_digest, fingerprint, load_dit, read_dit, read_tensors
from magi_core.weights.known import NAME
from tests.unit.weights.checkpoints import golden_weights, in_diffusers, write_sharded

NANO = Path(magi_core.__file__).parent / "assets" / "nano"
LAYER = "videodit_blocks.layers.1.mlp.linear_fc1.weight"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAGI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / NAME


@pytest.fixture
def looked_through(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of tensors that were looked through."""
    names, own = [], contents._examine
    monkeypatch.setattr(contents, "_examine", lambda where, name, t: (names.append(name), own(where, name, t))[1])
    return names


def old(path: Path, seconds: float = 60) -> None:
    """As if the files had been there for a while."""
    for file in [path] if path.is_file() else path.iterdir():
        os.utime(file, (time.time() - seconds,) * 2)


def changed(folder: Path, name: str, place: int, value: float) -> None:
    """One number of one tensor, in place."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        if name in tensors:
            tensors[name].view(-1)[place] = value
            save_file(tensors, file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [LAYER, "rope.bands"])
def test_a_weight_that_is_not_finite_is_named(sharded: Path, name: str, value: float) -> None:
    changed(sharded, name, 3, value)
    with pytest.raises(MagiError, match=f"{name} holds numbers that are not finite.*download it again"):
        load_dit(sharded, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("place", [0, 4999])
def test_every_number_format_is_looked_through(tmp_path: Path, dtype: torch.dtype, place: int) -> None:
    tensor = torch.full((5000,), torch.finfo(dtype).max, dtype=dtype)
    save_file({"a": tensor}, tmp_path / "sound.safetensors")
    assert contents_digest(read_tensors(tmp_path / "sound.safetensors"))
    for value in (float("nan"), float("inf")):
        tensor[place] = value
        save_file({"a": tensor}, tmp_path / "unsound.safetensors")
        with pytest.raises(MagiError, match="tensor a holds"):
            contents_digest(read_tensors(tmp_path / "unsound.safetensors"))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_so_is_fp8(tmp_path: Path, dtype: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    finite = every[every.view(dtype).float().isfinite()]
    save_file({"a": finite.view(dtype)}, tmp_path / "sound.safetensors")
    assert contents_digest(read_tensors(tmp_path / "sound.safetensors"))
    for byte in every[~every.view(dtype).float().isfinite()]:
        save_file({"a": torch.cat([finite, byte[None]]).view(dtype)}, tmp_path / "unsound.safetensors")
        with pytest.raises(MagiError, match="tensor a holds"):
            contents_digest(read_tensors(tmp_path / "unsound.safetensors"))


def test_a_vae_and_a_text_encoder_are_looked_through_too(tmp_path: Path) -> None:
    def read_t5(folder: Path, device: str) -> object:
        return load_text_encoder(folder, device=device).encode("a ball")  # which needs the weights

    for part, load in (("vae", load_vae), ("t5", read_t5)):
        folder = tmp_path / part
        folder.mkdir()
        for file in (NANO / part).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        load(folder, device="cpu")
        (weights,) = folder.glob("*.safetensors")
        tensors = load_file(weights)
        name = sorted(name for name, tensor in tensors.items() if tensor.is_floating_point())[0]
        tensors[name].view(-1)[0] = float("nan")
        save_file(tensors, weights)
        with pytest.raises(MagiError, match=f"{name} holds numbers that are not finite"):
            load(folder, device="cpu")


def test_the_digest_sees_a_change_that_the_fingerprint_does_not(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(100_000), "b": torch.zeros(3)}
    file = tmp_path / "a.safetensors"
    save_file(tensors, file)
    before = fingerprint(file), contents_digest(read_tensors(file))
    tensors["a"][50_000] = 1e-6
    save_file(tensors, file)
    after = fingerprint(file), contents_digest(read_tensors(file))
    assert before[0] == after[0] and before[1] != after[1]


def test_the_digest_does_not_depend_on_the_layout_of_the_files(tmp_path: Path, sharded: Path) -> None:
    weights = golden_weights("A")
    save_file(weights, tmp_path / "base.safetensors")
    renamed = {f"diffusion_model.{name}": tensor for name, tensor in in_diffusers(weights).items()}
    write_sharded(renamed, tmp_path / "diffusers_base", shards=2)
    write_sharded(weights, tmp_path / "bin_base", suffix=".bin")
    places = (sharded, tmp_path / "base.safetensors", tmp_path / "diffusers_base", tmp_path / "bin_base")
    assert len({read_dit(place, device="cpu")[1] for place in places}) == 1


def test_an_engine_carries_the_digest_and_its_short_fingerprint(sharded: Path) -> None:
    engine = magi_core.load(sharded, device="cpu", dtype="fp32")
    assert engine.weights_digest == contents_digest(read_tensors(sharded))
    assert engine.fingerprint == fingerprint(sharded), "takes that were saved before are of the same model"
    assert len(engine.weights_digest) == 64


def test_files_that_have_not_changed_are_looked_through_once(sharded: Path, looked_through: list[str]) -> None:
    old(sharded)
    first = read_dit(sharded, device="cpu")[1]
    assert sorted(looked_through) == sorted(golden_weights("A"))
    looked_through.clear()
    assert read_dit(sharded, device="cpu")[1] == first
    assert not looked_through


@pytest.mark.parametrize("how", ["size", "time", "inode", "path"])
def test_a_file_that_may_have_changed_is_looked_through_again(
    sharded: Path, looked_through: list[str], how: str
) -> None:
    old(sharded)
    load_dit(sharded, device="cpu")
    looked_through.clear()
    file = next(iter(sorted(sharded.glob("*.safetensors"))))
    about, content = file.stat(), file.read_bytes()
    if how == "size":
        save_file(load_file(file), file, {"note": "longer"})
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif how == "time":
        old(file, 30)
    elif how == "inode":
        copy = file.with_name("copy")
        copy.write_bytes(content)
        os.utime(copy, ns=(about.st_atime_ns, about.st_mtime_ns))
        os.replace(copy, file)
        assert file.stat().st_ino != about.st_ino
    else:
        sharded = sharded.rename(sharded.with_name("inference_weight.fp8"))
    load_dit(sharded, device="cpu")
    assert looked_through


def test_a_file_that_was_just_written_is_not_taken_for_known(sharded: Path, looked_through: list[str]) -> None:
    """Its time of change would not show that it was changed once more."""
    load_dit(sharded, device="cpu")
    looked_through.clear()
    changed(sharded, LAYER, 0, float("nan"))
    with pytest.raises(MagiError, match="not finite"):
        load_dit(sharded, device="cpu")


def test_unsound_files_are_never_remembered_as_sound(sharded: Path) -> None:
    changed(sharded, LAYER, 0, float("nan"))
    old(sharded)
    for _ in range(2):
        with pytest.raises(MagiError, match="not finite"):
            load_dit(sharded, device="cpu")


@pytest.mark.parametrize("content", ["", "[", "[1]", '{"a": 1}', '{"a": "b"}', "[" * 100_000])
def test_a_damaged_memory_costs_time_only(sharded: Path, cache: Path, content: str) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    old(sharded)
    digest = read_dit(sharded, device="cpu")[1]
    assert digest in json.loads(cache.read_text()).values(), "and is made anew"


def test_no_place_for_a_memory_costs_time_only(sharded: Path, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    old(sharded)
    assert read_dit(sharded, device="cpu")[1]


def test_the_memory_stays_small(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magi_core.weights.known.MOST", 3)
    digests = []
    for i in range(5):
        file = tmp_path / f"{i}.safetensors"
        save_file({"a": torch.tensor([float(i)])}, file)
        old(file)
        digests.append(contents_digest(read_tensors(file)))
    assert list(json.loads(cache.read_text()).values()) == digests[2:]


def test_tensors_come_in_order_and_converted(sharded: Path) -> None:
    seen: list[str] = []

    def convert(name: str, tensor: Tensor) -> Tensor:
        seen.append(name)
        return tensor.float() + 1

    found, _ = contents.read_sound(read_tensors(sharded), golden_weights("A"), convert)
    assert seen == sorted(golden_weights("A"))
    assert all(torch.equal(found[name], tensor.float() + 1) for name, tensor in golden_weights("A").items())
