"""Weight files that claim more than they hold, and files that are no files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.vae.config import VAEConfig
from magi_core.weights import find_models, read_tensors, recognise
from magi_core.weights.header import TensorHeader
from tests.resident_memory import resident_peak

MEGABYTE = 1 << 20


def raw(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def tensor(begin: int, end: int, shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": tensor(0, 8, [2]), "b": tensor(0, 8, [2])}, bytes(8), "overlap"),
        ({"a": tensor(0, 8, [2]), "b": tensor(12, 16, [1])}, bytes(16), "gaps"),
        ({"a": tensor(0, 8, [1] * 17 + [2])}, bytes(8), "few of them"),
        ({"a": tensor(0, 8, ["2"])}, bytes(8), "whole numbers"),
        ({"a": tensor(0, 8, [2.0])}, bytes(8), "whole numbers"),
        (b'{"a":' + b"[" * 100_000, b"", "nested more than"),
        (b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}', bytes(8), "5000 digits"),
        (b'{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}}', bytes(8), "not finite"),
        ({"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}, bytes(8), "unreadable header"),
    ],
)
def test_headers_are_not_believed(tmp_path, header, data, message):
    with pytest.raises(MagiError, match=message) as caught:
        read_tensors(raw(tmp_path / "model.safetensors", header, data))
    assert len(str(caught.value)) < 700


def test_a_header_longer_than_its_file_is_not_made_room_for(tmp_path):
    (tmp_path / "a.safetensors").write_bytes((8 * MEGABYTE - 1).to_bytes(8, "little") + b"{}")
    with pytest.raises(MagiError, match="ends inside its header"):
        read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["header", "tensor", "list"])
def test_packed_files_cannot_unpack_to_gigabytes(tmp_path, kind):
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "model.safetensors.zst"
    if kind == "tensor":  # a promise alone: nothing of it needs to be there
        text = json.dumps({"x_embedder.weight": tensor(0, 4 << 30, [1 << 30])}).encode()
    else:
        length = 90 * MEGABYTE if kind == "header" else 8 * MEGABYTE - 1
        text = b"[" + b"[]," * ((length - 4) // 3) + b"[]]"
    path.write_bytes(zstandard.compress(len(text).to_bytes(8, "little") + text))
    assert path.stat().st_size < MEGABYTE
    code = f"from magi_core.weights import read_tensors\nread_tensors({str(path)!r})"
    assert resident_peak(code) < 700 * MEGABYTE
    if kind != "list":
        with pytest.raises(MagiError):
            read_tensors(path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_tensors_of_a_bin_file_cannot_be_stretched(tmp_path):
    torch.save({"a": torch.zeros(1).expand(100_000, 1000)}, tmp_path / "model.bin")
    with pytest.raises(MagiError, match="claim more than the file holds"):
        read_tensors(tmp_path / "model.bin")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.zst", "pytorch_model.bin"])
def test_pipes_are_refused_and_stop_no_search(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(MagiError, match="is a pipe"):
        read_tensors(tmp_path)
    save_file({"x_embedder.weight": torch.zeros(1)}, tmp_path / "named.safetensors")
    assert all("pipe" in model.problem or model.dit.name == "named.safetensors" for model in find_models([tmp_path]))


@pytest.mark.parametrize("layer", ["999999999", "1000", "9" * 5000])
def test_numbers_of_layers_are_not_believed(layer):
    names = ("self_attn_post_norm.weight", "self_attention.q_layernorm.weight", "self_attention.linear_qkv.k.weight")
    names += ("mlp.linear_fc2.weight", "mlp.linear_fc1.weight", "ada_modulate_layer.proj.0.weight")
    headers = {f"videodit_blocks.layers.{layer}.{name}": TensorHeader((8, 8), torch.float32) for name in names}
    headers["y_embedder.null_caption_embedding"] = TensorHeader((8, 8), torch.float32)
    with pytest.raises(MagiError):
        recognise(headers)


def test_a_name_cannot_ask_for_a_billion_shards(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "x-00001-of-999999999.safetensors")
    with pytest.raises(MagiError, match="no model has so many"):
        read_tensors(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depth", 10**6),
        ("depth", True),
        ("embed_dim", 10**9),
        ("mlp_ratio", 1e9),
        ("video_size", "big"),
        ("in_chans", 0),
    ],
)
def test_a_vae_of_any_size_is_not_believed(key, value):
    sizes = {"z_chans": 4, "embed_dim": 1024, "depth": 2, "num_heads": 2, "use_final_proj": True}
    with pytest.raises(MagiError, match=key):
        VAEConfig.from_json(sizes | {key: value})
