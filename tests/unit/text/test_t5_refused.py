"""A T5 folder that cannot be used says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.text import load_text_encoder
from tests.unit.text.t5_folders import CHANNELS, PROMPT, copied, stored, with_weights


def test_a_folder_that_is_not_a_t5(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="is not a folder.*t5-v1_1-xxl"):
        load_text_encoder(tmp_path / "nowhere")
    with pytest.raises(MagiError, match="no config.json.*t5-v1_1-xxl"):
        load_text_encoder(tmp_path)
    for content, found in (('{"model_type": "clip"}', "of type 'clip'"), ("{}", "something else"), ("[]", "something")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(MagiError, match=found):
            load_text_encoder(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"model_type": "t5", "feed_forward_proj": "no-such-thing-x"}'])
def test_a_broken_config(content: str, bin_folder: Path, tmp_path: Path) -> None:
    folder = copied(bin_folder, tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(MagiError, match="(?s)config.json.*Download it again"):
        load_text_encoder(folder)


def test_an_encoder_of_another_width_is_refused_before_its_weights_are_read(bin_folder: Path, tmp_path: Path) -> None:
    folder = copied(bin_folder, tmp_path, "*.bin")
    with pytest.raises(MagiError, match="gives 32 channels, but this video model reads text of 4096"):
        load_text_encoder(folder, channels=4096)


def test_missing_or_damaged_weights(bin_folder: Path, tmp_path: Path) -> None:
    folder = copied(bin_folder, tmp_path)
    shard = folder / "pytorch_model-00002-of-00002.bin"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(MagiError, match="pytorch_model-00002-of-00002.bin"):
        load_text_encoder(folder)
    shard.unlink()
    with pytest.raises(MagiError, match="pytorch_model-00002-of-00002.bin"):
        load_text_encoder(folder)


def test_weights_that_do_not_fit_are_listed_in_one_message(bin_folder: Path, tmp_path: Path) -> None:
    state = stored(bin_folder)
    del state["encoder.final_layer_norm.weight"]
    state["encoder.block.7.layer.0.layer_norm.weight"] = torch.zeros(CHANNELS)
    state["shared.weight"] = torch.zeros(64, CHANNELS)
    with pytest.raises(MagiError) as error:
        load_text_encoder(with_weights(bin_folder, tmp_path, state))
    for name in ("encoder.final_layer_norm.weight", "encoder.block.7.layer.0", "shared.weight is 64 x 32"):
        assert name in str(error.value)


def test_numbers_that_are_not_finite_are_reported(bin_folder: Path, tmp_path: Path) -> None:
    """In the weights, and where sound weights give such numbers."""
    state = stored(bin_folder)
    state["encoder.final_layer_norm.weight"] = torch.full((CHANNELS,), torch.inf)
    with pytest.raises(MagiError, match="encoder.final_layer_norm.weight holds numbers that are not finite"):
        load_text_encoder(with_weights(bin_folder, tmp_path / "unsound", state)).encode(PROMPT)
    encoder = load_text_encoder(bin_folder)
    encoder.states.model.encoder.final_layer_norm.weight.fill_(torch.inf)
    with pytest.raises(MagiError, match="not finite in torch.float32"):
        encoder.encode(PROMPT)
