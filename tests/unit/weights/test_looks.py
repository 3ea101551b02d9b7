"""A look at the folders is remembered while another would see the same, and no longer."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.weights import Checkpoint, find, find_model, find_models, fingerprint
from tests.unit.weights.checkpoints import put_t5, put_tokens, put_vae, write_sharded

LONG_AGO = 60.0  # seconds
DIT = "ckpt/magi/4.5B_base/inference_weight"
PLACES = [
    f"{DIT}/model-00001-of-00003.safetensors",
    f"{DIT}/model.safetensors.index.json",
    DIT,
    "ckpt/vae/config.json",
    "ckpt/vae/diffusion_pytorch_model.safetensors",
    "ckpt/vae",
    "ckpt/t5/t5-v1_1-xxl/config.json",
    "ckpt/t5/t5-v1_1-xxl/spiece.model",
    "ckpt/t5/t5-v1_1-xxl/pytorch_model-00001-of-00001.bin",
    "ckpt/t5",
    "example/assets/special_tokens.npz",
    "ckpt",
]
"""Files and folders of the official download that decide what is found."""


@pytest.fixture
def root(tmp_path: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official download, a minute old."""
    root = tmp_path / "models" / "magi"
    write_sharded(weights, root / DIT)
    put_vae(root / "ckpt/vae")
    put_t5(root / "ckpt/t5/t5-v1_1-xxl")
    put_tokens(root / "example/assets")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + LONG_AGO)
    return root


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Models that were looked at anew."""
    seen: list[Path] = []
    describe = find._describe
    monkeypatch.setattr(find, "_describe", lambda dit, given: seen.append(dit) or describe(dit, given))
    return seen


def said(ask: Callable[..., Any], *given: Any) -> Any:
    try:
        return ask(*given)
    except MagiError as error:
        return str(error)


def check_against_new_looks(root: Path) -> None:
    """From either end, and at a place around."""
    for path in (root, root.parent, root / DIT, root / DIT / "model.safetensors.index.json"):
        assert find._models_at(path) == find._models_at.__wrapped__(path)  # type: ignore[attr-defined]
        assert said(find._model_at, path, "auto") == said(find._model_at.__wrapped__, path, "auto")  # type: ignore[attr-defined]


def test_folders_that_stay_the_same_are_looked_through_once(root: Path, described: list[Path]) -> None:
    lists = [find_models([root]) for _ in range(3)]
    files = [find_model(root / DIT) for _ in range(3)]
    assert lists[0] == lists[2] and files[0] == files[2] and described == [root / DIT] * 2


def test_a_list_is_the_callers_own(root: Path) -> None:
    find_models([root]).clear()
    assert len(find_models([root])) == 1


@pytest.mark.parametrize("place", PLACES)
def test_what_goes_away_and_comes_back_is_seen_at_once(root: Path, place: str) -> None:
    check_against_new_looks(root)
    away = root.parent.parent / "away"
    shutil.move(root / place, away)
    check_against_new_looks(root)
    shutil.move(away, root / place)
    check_against_new_looks(root)


@pytest.mark.parametrize(
    "place", [place for place in PLACES if "." in Path(place).name and not place.endswith("1-xxl")]
)
def test_what_becomes_another_file_is_seen_at_once(root: Path, place: str) -> None:
    check_against_new_looks(root)
    (root / place).write_bytes(b"something else")
    check_against_new_looks(root)


@pytest.mark.parametrize("place", ["", "ckpt", "ckpt/magi", "ckpt/magi/4.5B_base", "..", "../.."])
def test_parts_that_come_are_seen_at_once(root: Path, place: str) -> None:
    """Below and above the folder that is given, a configuration of the model's own, too."""
    for part in ("ckpt/vae", "ckpt/t5", "example"):
        shutil.rmtree(root / part)
    check_against_new_looks(root)
    put_tokens((root / place).resolve())
    check_against_new_looks(root)
    vae = put_vae((root / place / "vae").resolve())
    check_against_new_looks(root)
    assert find_models([root])[0].vae == vae
    put_t5(root / place / "t5/t5-v1_1-xxl").joinpath("spiece.model").unlink()
    check_against_new_looks(root)
    (root / place / "t5/tokenizer").mkdir()
    (root / place / "t5/tokenizer/tokenizer.json").touch()
    check_against_new_looks(root)
    (root / place / "4.5B_config.json").write_text('{"model_config": {}, "engine_config": {"distill": true}}')
    check_against_new_looks(root)


def test_another_model_is_seen_at_once(root: Path, weights: dict[str, torch.Tensor]) -> None:
    assert len(find_models([root])) == 1
    other = write_sharded(weights, root / "mine" / "inference_weight.distill")
    assert {files.dit for files in find_models([root])} == {root / DIT, other}
    with pytest.raises(MagiError, match="holds 2 models"):
        find_model(root)


def test_a_folder_in_place_of_a_weight_file_is_seen_at_once(root: Path) -> None:
    assert len(find_models([root])) == 1
    (root / "mine.safetensors").mkdir()
    assert "mine.safetensors is a folder" in find_models([root])[-1].problem


def test_a_link_that_leads_elsewhere_is_seen_at_once(root: Path, weights: dict[str, torch.Tensor]) -> None:
    """A link to a link outside, of which nothing shows in the folder."""
    distilled = write_sharded(weights, root.parent.parent / "one" / "inference_weight.distill")
    base = write_sharded({**weights, "x": torch.zeros(7)}, root.parent.parent / "two" / "inference_weight")
    there = root.parent.parent / "there"
    there.symlink_to(distilled)
    (root / "linked").symlink_to(there)
    parameters = [files.parameters for files in find_models([root]) if files.dit == root / "linked"]
    there.unlink()
    there.symlink_to(base)
    (changed,) = (files.parameters for files in find_models([root]) if files.dit == root / "linked")
    assert changed == parameters[0] + 7


def test_what_cannot_be_read_is_tried_again(root: Path, described: list[Path]) -> None:
    (root / "bad.safetensors").write_bytes(b"nothing")
    for _ in range(2):
        assert "not a safetensors file" in next(files.problem for files in find_models([root]) if files.problem)
    assert described.count(root / "bad.safetensors") == 2


def test_weights_are_read_for_their_fingerprint_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(root / DIT)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "__init__", None)
        assert fingerprint(root / DIT) == first
    shard = root / DIT / "model-00002-of-00003.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    about = shard.stat()
    shard.write_bytes(content)
    os.utime(shard, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert fingerprint(root / DIT) != first
