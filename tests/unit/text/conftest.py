"""Random T5 models, made once for all files of this folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.unit.text.t5_folders import CHANNELS, stored, write_spiece, write_word_level


@pytest.fixture(scope="session")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5 in the official layout: two `.bin` shards with an index, and spiece.model."""
    from transformers import T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("t5") / "t5-v1_1-tiny"
    folder.mkdir()
    write_spiece(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=128, d_model=CHANNELS, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    model = T5EncoderModel(config)
    model.config.save_pretrained(folder)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    names = sorted(state)
    weight_map = {}
    for part, chosen in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{part:05d}-of-00002.bin"
        torch.save({name: state[name] for name in chosen}, folder / file)
        weight_map |= {name: file for name in chosen}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def safetensors_folder(bin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same T5 as one safetensors file, as part of a full T5, with a word-level tokenizer.json."""
    folder = tmp_path_factory.mktemp("t5") / "safetensors"
    folder.mkdir()
    shutil.copy(bin_folder / "config.json", folder)
    state = stored(bin_folder)
    state.pop("encoder.embed_tokens.weight")
    state |= {"lm_head.weight": torch.zeros(128, CHANNELS), "decoder.final_layer_norm.weight": torch.zeros(CHANNELS)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    write_word_level(folder)
    return folder
