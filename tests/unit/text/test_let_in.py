"""What of a text encoder's folder is believed: sizes within bounds, nothing that loads or runs anything."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from magi_core.errors import MagiError
from magi_core.text.t5_config import read_config
from magi_core.text.tokenizer import load_tokenizer

NANO = Path(__file__).parents[3] / "magi_core" / "assets" / "nano"


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
