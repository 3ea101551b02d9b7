"""T5 folders in both layouts against transformers' own loading, prompts at their limits, and what a bad folder gets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.text import load_text_encoder, prepare_caption

PROMPT = "A red ball rolls to the left; the camera pans right."
WORDS = ["a", "red", "ball", "rolls", "to", "the", "left", "camera", "pans", "right"]
CHANNELS = 32


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5 in the official layout: two `.bin` shards with an index, and spiece.model."""
    from transformers import T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("t5") / "t5-v1_1-tiny"
    folder.mkdir()
    _write_spiece(folder)
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


@pytest.fixture(scope="module")
def safetensors_folder(bin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same T5 as one safetensors file, as part of a full T5, with a word-level tokenizer.json."""
    folder = tmp_path_factory.mktemp("t5") / "safetensors"
    folder.mkdir()
    shutil.copy(bin_folder / "config.json", folder)
    state = _stored(bin_folder)
    state.pop("encoder.embed_tokens.weight")
    state |= {"lm_head.weight": torch.zeros(128, CHANNELS), "decoder.final_layer_norm.weight": torch.zeros(CHANNELS)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    _write_word_level(folder)
    return folder


def _write_spiece(folder: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([PROMPT.lower(), "she's smiling, it's 5 o'clock", "a blue cube - moves up"] * 5),
        model_prefix=str(folder / "spiece"),
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )


def _write_word_level(folder: Path, words: tuple[str, ...] = ("<pad>", "</s>", "<unk>", *WORDS)) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=24)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))


def _stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for file in folder.glob("*.bin") for name, t in torch.load(file, weights_only=True).items()}


def _transformers_tokens(folder: Path, ids: list[int], padded_to: int) -> torch.Tensor:
    """The reference's way: transformers loads the folder, and the prompt is padded and masked."""
    from transformers import T5EncoderModel

    model = T5EncoderModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    padded = torch.tensor([ids + [0] * (padded_to - len(ids))])
    mask = torch.tensor([[1] * len(ids) + [0] * (padded_to - len(ids))])
    with torch.no_grad():
        return model(input_ids=padded, attention_mask=mask).last_hidden_state[0, : len(ids)]


@pytest.mark.parametrize("layout", ["bin_folder", "safetensors_folder"])
def test_embeddings_equal_those_of_transformers(layout: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(layout)
    encoder = load_text_encoder(folder)
    embedding = encoder.encode(PROMPT)
    ids = encoder.tokenizer.ids(prepare_caption(PROMPT))
    assert embedding.prompt == PROMPT and embedding.notes == () and not embedding.is_null
    assert embedding.tokens.shape == (len(ids), CHANNELS) == (len(ids), encoder.channels)
    assert embedding.tokens.dtype == torch.float32
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(folder, ids, len(ids)), rtol=0, atol=0)
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(folder, ids, 64), rtol=0, atol=2e-6)


def test_both_layouts_hold_the_same_model(bin_folder: Path, safetensors_folder: Path) -> None:
    ours = [load_text_encoder(folder).model.state_dict() for folder in (bin_folder, safetensors_folder)]
    assert ours[0].keys() == ours[1].keys()
    assert all(torch.equal(ours[0][name], ours[1][name]) for name in ours[0])


def test_an_embedding_table_under_its_other_name_is_found(bin_folder: Path, tmp_path: Path) -> None:
    state = _stored(bin_folder)
    table = state.pop("shared.weight")
    folder = _with_weights(bin_folder, tmp_path, state)
    assert torch.equal(load_text_encoder(folder).model.shared.weight, table)


def test_spiece_ids_end_with_the_end_token_and_restore_the_caption(bin_folder: Path) -> None:
    import sentencepiece

    tokenizer = load_text_encoder(bin_folder).tokenizer
    *pieces, end = tokenizer.ids(prepare_caption(PROMPT))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(bin_folder / "spiece.model"))
    assert end == tokenizer.end == 1
    assert processor.decode(pieces) == prepare_caption(PROMPT)


def test_word_level_ids_end_with_the_end_token_and_ignore_stored_limits(safetensors_folder: Path) -> None:
    tokenizer = load_text_encoder(safetensors_folder).tokenizer
    ids = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    assert tokenizer.ids("a red ball rolls left unheard") == [
        ids[word] for word in ("a", "red", "ball", "rolls", "left", "<unk>", "</s>")
    ]


def test_a_long_prompt_is_cut_before_the_end_token_with_a_note(bin_folder: Path) -> None:
    encoder = load_text_encoder(bin_folder, max_length=20)
    prompt = "red ball " * 2500
    embedding = encoder.encode(prompt)
    ids = encoder.tokenizer.ids(prepare_caption(prompt))
    assert len(ids) > 5000
    assert embedding.tokens.shape == (20, CHANNELS)
    assert embedding.notes == (f"prompt cut to 20 tokens (it has {len(ids)})",)
    kept = [*ids[:19], encoder.tokenizer.end]
    torch.testing.assert_close(embedding.tokens, _transformers_tokens(bin_folder, kept, 20), rtol=0, atol=0)


def test_a_prompt_that_just_fits_is_left_whole(bin_folder: Path) -> None:
    length = len(load_text_encoder(bin_folder).encode(PROMPT).tokens)
    assert load_text_encoder(bin_folder, max_length=length).encode(PROMPT).notes == ()
    assert load_text_encoder(bin_folder, max_length=length - 1).encode(PROMPT).notes != ()


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "empty prompt"),
        (" \n\t", "empty prompt"),
        ("free download", "nothing is left"),
        ("\u200b", "nothing is left"),
    ],
)
def test_a_prompt_without_content_is_the_null_text(bin_folder: Path, prompt: str, reason: str) -> None:
    embedding = load_text_encoder(bin_folder).encode(prompt)
    assert embedding.is_null and embedding.tokens.shape == (0, CHANNELS)
    assert len(embedding.notes) == 1 and embedding.notes[0].startswith(reason)
    assert embedding.notes[0].endswith("renders as null text")


def test_half_precision_keeps_the_output_layers_wide(bin_folder: Path) -> None:
    wide = load_text_encoder(bin_folder).encode(PROMPT).tokens
    encoder = load_text_encoder(bin_folder, dtype=torch.float16)
    dtypes = {name: t.dtype for name, t in encoder.model.state_dict().items()}
    assert {d for n, d in dtypes.items() if n.endswith(".wo.weight")} == {torch.float32}
    assert {d for n, d in dtypes.items() if not n.endswith(".wo.weight")} == {torch.float16}
    torch.testing.assert_close(encoder.encode(PROMPT).tokens, wide, rtol=0.02, atol=0.02)
    narrow = load_text_encoder(bin_folder, dtype=torch.bfloat16)
    assert {t.dtype for t in narrow.model.state_dict().values()} == {torch.bfloat16}
    torch.testing.assert_close(narrow.encode(PROMPT).tokens, wide, rtol=0.1, atol=0.1)


def test_number_formats_can_be_named(bin_folder: Path) -> None:
    assert load_text_encoder(bin_folder, dtype="auto").model.dtype == torch.float32
    assert load_text_encoder(bin_folder, dtype="bf16").model.dtype == torch.bfloat16
    with pytest.raises(MagiError, match="unknown number format int3"):
        load_text_encoder(bin_folder, dtype="int3")


# --- bad folders


def _copied(folder: Path, tmp_path: Path, *without: str) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*without))
    return target


def _with_weights(folder: Path, tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    target = _copied(folder, tmp_path, "*.bin", "*.index.json")
    torch.save(state, target / "pytorch_model.bin")
    return target


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
    folder = _copied(bin_folder, tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(MagiError, match="(?s)config.json.*Download it again"):
        load_text_encoder(folder)


def test_a_missing_or_broken_tokenizer(bin_folder: Path, tmp_path: Path) -> None:
    folder = _copied(bin_folder, tmp_path, "spiece.*")
    with pytest.raises(MagiError, match="no tokenizer: spiece.model is missing"):
        load_text_encoder(folder)
    for name in ("tokenizer.json", "spiece.model"):
        (folder / name).write_bytes(b"not a tokenizer")
        with pytest.raises(MagiError, match=f"{name} is not a readable tokenizer"):
            load_text_encoder(folder)


def test_a_tokenizer_of_another_model(bin_folder: Path, tmp_path: Path) -> None:
    folder = _copied(bin_folder, tmp_path, "spiece.*")
    _write_word_level(folder, ("<pad>", "<unk>", *WORDS))
    with pytest.raises(MagiError, match="no end token </s>"):
        load_text_encoder(folder)
    _write_word_level(folder, ("<pad>", "</s>", "<unk>", *(f"word{i}" for i in range(200))))
    with pytest.raises(MagiError, match="203 tokens, the model only 128"):
        load_text_encoder(folder)


def test_an_encoder_of_another_width_is_refused_before_its_weights_are_read(bin_folder: Path, tmp_path: Path) -> None:
    folder = _copied(bin_folder, tmp_path, "*.bin")
    with pytest.raises(MagiError, match="gives 32 channels, but this video model reads text of 4096"):
        load_text_encoder(folder, channels=4096)


def test_missing_or_damaged_weights(bin_folder: Path, tmp_path: Path) -> None:
    folder = _copied(bin_folder, tmp_path)
    shard = folder / "pytorch_model-00002-of-00002.bin"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(MagiError, match="pytorch_model-00002-of-00002.bin"):
        load_text_encoder(folder)
    shard.unlink()
    with pytest.raises(MagiError, match="pytorch_model-00002-of-00002.bin"):
        load_text_encoder(folder)


def test_weights_that_do_not_fit_are_listed_in_one_message(bin_folder: Path, tmp_path: Path) -> None:
    state = _stored(bin_folder)
    del state["encoder.final_layer_norm.weight"]
    state["encoder.block.7.layer.0.layer_norm.weight"] = torch.zeros(CHANNELS)
    state["shared.weight"] = torch.zeros(64, CHANNELS)
    with pytest.raises(MagiError) as error:
        load_text_encoder(_with_weights(bin_folder, tmp_path, state))
    for name in ("encoder.final_layer_norm.weight", "encoder.block.7.layer.0", "shared.weight is 64 x 32"):
        assert name in str(error.value)


def test_numbers_that_are_not_finite_are_reported(bin_folder: Path, tmp_path: Path) -> None:
    state = _stored(bin_folder)
    state["encoder.final_layer_norm.weight"] = torch.full((CHANNELS,), torch.inf)
    encoder = load_text_encoder(_with_weights(bin_folder, tmp_path, state))
    with pytest.raises(MagiError, match="not finite in torch.float32"):
        encoder.encode(PROMPT)
