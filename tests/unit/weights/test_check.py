"""Tensors that are missing, left over or of another shape make one error that names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.weights import check_state_dict, load_dit
from tests.unit.weights.checkpoints import write_sharded


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
