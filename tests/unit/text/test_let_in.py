"""What of a text encoder's folder is believed: sizes within bounds, nothing that loads or runs anything."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from magi_core.errors import MagiError
from magi_core.text.special_tokens import load_special_tokens
from magi_core.text.t5_config import read_config
from magi_core.text.tokenizer import load_tokenizer
from tests.resident_memory import resident_peak

NANO = Path(__file__).parents[3] / "magi_core" / "assets" / "nano"
MEGABYTE = 1 << 20


def config_with(folder: Path, **changes: object) -> Path:
    content = json.loads((NANO / "t5" / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_attn_implementation", "kernels-community/flash-attn"),
        ("attn_implementation", "kernels-community/flash-attn"),
        ("_attn_implementation_internal", "someone/kernel"),
        ("auto_map", {"AutoModel": "modeling.Evil"}),
        ("_name_or_path", "someone/model"),
        ("quantization_config", {"quant_method": "gptq"}),
        ("torch_dtype", "float64"),
        ("dtype", "someone"),
        ("transformers_version", "99"),
        ("id2label", {"0": "x"}),
        ("pruned_heads", {"0": [0]}),
    ],
)
def test_keys_that_make_transformers_load_or_run_something_are_dropped(tmp_path, key, value):
    kept = read_config(config_with(tmp_path, **{key: value}))
    plain = read_config(NANO / "t5")
    assert kept.to_dict() == plain.to_dict()
    assert getattr(kept, "_attn_implementation", None) == getattr(plain, "_attn_implementation", None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_layers", 10**6),
        ("num_layers", 0),
        ("num_layers", "2"),
        ("num_layers", True),
        ("d_model", 10**9),
        ("d_model", None),
        ("vocab_size", 10**10),
        ("num_heads", -1),
        ("layer_norm_epsilon", "small"),
        ("layer_norm_epsilon", 5),
        ("feed_forward_proj", "gated-os.system"),
        ("feed_forward_proj", ["relu"]),
    ],
)
def test_sizes_are_believed_within_bounds(tmp_path, key, value):
    with pytest.raises(MagiError, match=f"does not describe a usable T5 .*{key}"):
        read_config(config_with(tmp_path, **{key: value}))


def tokenizer_with(folder: Path, **changes: object) -> Path:
    content = json.loads((NANO / "t5" / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return folder


def test_a_tokenizers_own_patterns_are_refused(tmp_path):
    """They are regular expressions, and some take for ever."""
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": False}
    for part in ({"pre_tokenizer": split}, {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split]}}):
        with pytest.raises(MagiError, match="splits text by a pattern"):
            load_tokenizer(tokenizer_with(tmp_path, **part))
    blanks = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    same = load_tokenizer(tokenizer_with(tmp_path, normalizer=blanks, truncation={"max_length": 1}, padding=None))
    assert same.ids("a ball  moves") == load_tokenizer(NANO / "t5").ids("a ball moves")


def test_a_tokenizer_has_a_bounded_vocabulary(tmp_path):
    model = {"type": "WordLevel", "unk_token": "a", "vocab": {f"{k}": k for k in range(300_001)}}
    with pytest.raises(MagiError, match="vocabulary is too large"):
        load_tokenizer(tokenizer_with(tmp_path, model=model))
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(MagiError, match="not a readable tokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("name", ["spiece.model", "tokenizer.json"])
def test_a_tokenizer_is_a_regular_file(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(MagiError, match="is a pipe"):
        load_tokenizer(tmp_path)


# --- special tokens ----------------------------------------------------------------------------------------


def npz(path: Path, header: bytes | None = None, body: bytes = b"", how: int = zipfile.ZIP_DEFLATED) -> Path:
    """A file in which `other_tokens` has another header, and `body` behind it."""
    np.savez(path, caption_token=np.ones((1, 4)), logo_token=np.ones((1, 4)))
    with zipfile.ZipFile(path, "a", how) as archive, archive.open("other_tokens.npy", "w", force_zip64=True) as member:
        header = (header or b"{'descr': '<f4', 'fortran_order': False, 'shape': (17, 4), }") + b"\n"
        member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000, 10000), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000, 9999999), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (100, )6), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (17, 4), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (17, 4, 1), }",
        b"(" * 60_000,
        b" ",
    ],
)
def test_headers_are_not_believed(tmp_path, header):
    with pytest.raises(MagiError, match="cannot be read as special tokens"):
        load_special_tokens(npz(tmp_path / "a.npz", header, bytes(17 * 4 * 4)))


def test_members_are_unpacked_as_far_as_they_may_reach(tmp_path):
    path = npz(
        tmp_path / "a.npz",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 2000), }",
        bytes(800 * MEGABYTE),
    )
    assert path.stat().st_size < MEGABYTE
    code = f"from magi_core.text.special_tokens import load_special_tokens\nload_special_tokens({str(path)!r})"
    assert resident_peak(code) < 100 * MEGABYTE
    with pytest.raises(MagiError, match="takes more than"):
        load_special_tokens(path)
    with pytest.raises(MagiError, match="unusual way"):
        load_special_tokens(npz(tmp_path / "b.npz", body=bytes(17 * 4 * 4), how=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_tables_read_as_numpy_reads_them(tmp_path, dtype, order):
    tables = {name: np.random.default_rng(0).normal(size=(rows, 6)).astype(dtype, order=order)
              for name, rows in (("caption_token", 1), ("logo_token", 1), ("other_tokens", 20))}  # fmt: skip
    np.savez(tmp_path / "a.npz", **tables)
    np.savez_compressed(tmp_path / "b.npz", **tables)
    for name in ("a.npz", "b.npz"):
        special = load_special_tokens(tmp_path / name)
        assert np.array_equal(
            special.get("HQ").numpy(), tables["other_tokens"][1].astype(np.float16).astype(np.float32)
        )
