"""nano is trained on what the engine runs: the same transformer, text assembly and attention ranges."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models
from torch import nn

from magi_core.attention.sdpa import sdpa
from magi_core.dit import DiT, TextAttention, WindowAttention
from magi_core.text.conditioning import assemble_null, assemble_text
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES, SpecialTokens, load_special_tokens
from tools.nano.batches import Batch
from tools.nano.chunk_attention import flex_mask, sdpa_mask
from tools.nano.export import rows_by_word
from tools.nano.master import Master
from tools.nano.recipe import dit_config
from tools.nano.text_model import make_text_model, make_tokenizer, save_special_tokens
from tools.nano.training_model import SpecialTable, make_dit, predict, read_text

CPU = torch.device("cpu")


def test_block_lists_and_dense_masks_show_the_same_keys(batch):
    first = batch.first_key[:8]
    blocks = flex_mask(first, 384).to_dense()[:, 0].bool()
    dense = torch.zeros_like(blocks)
    for slot, seen in enumerate(sdpa_mask(first, 3)):
        dense[:, slot * 3 : slot * 3 + 3, : slot * 3 + 3] = seen[:, 0]
    assert torch.equal(blocks, dense)


@torch.no_grad()
def test_the_training_forward_is_the_engines_forward(batch):
    torch.manual_seed(1)
    config, tokenizer = dit_config(tiny=True), make_tokenizer()
    dit, text_model = make_dit(config, CPU, torch.float32), make_text_model(tokenizer).eval()
    nn.init.normal_(dit.final_linear.linear.weight, std=0.1)
    table, null_rows = SpecialTable(config.caption_channels, CPU).table, dit.y_embedder.null_caption_embedding
    some = Batch(**{name: value[:12] for name, value in batch.tensors().items()})
    one_flag = some.dropped.any(1, keepdim=True).expand(-1, 6)  # the engine's flag is one for a whole forward
    some = Batch(**some.tensors() | {"dropped": one_flag})
    text = read_text(text_model, table, null_rows, some.ids, some.counts, some.prefix, some.null)
    frames = torch.arange(36)
    trained = predict(dit, "sdpa", some.x, some.t, some.dropped, *text, frames, sdpa_mask(some.first_key, 24))

    engine_dit = DiT(config)
    engine_dit.load_state_dict(dit.state_dict())
    special = SpecialTokens(dict(zip(SPECIAL_TOKEN_NAMES, table, strict=True)))
    for i in range(len(some.t)):
        texts = [engine_text(some, i, k, special, null_rows, text_model) for k in range(6)]
        contexts = [engine_dit.text_context(text) for text in texts]
        ranges = [(int(some.first_key[i, k]), k + 1) for k in range(6)]
        sampled = engine_dit(
            some.x[i : i + 1],
            some.t[i : i + 1],
            TextAttention(sdpa, contexts),
            frames=frames,
            attend=WindowAttention(sdpa, ranges),
            dropped=bool(some.dropped[i, 0]),
        )
        assert torch.allclose(sampled[0], trained[i], atol=1e-5)


def engine_text(batch, i, k, special, null_rows, text_model):
    """What `magi_core.text` assembles for slot k of sample i."""
    names = [SPECIAL_TOKEN_NAMES[index] for index in batch.prefix[i, k].tolist() if index >= 0]
    if batch.null[i, k]:
        return assemble_null(null_rows, special, names)
    durations = [int(name[-1]) for name in names if name.startswith("DURATION")]
    ids = batch.ids[i, k, : batch.counts[i, k]][None]
    tokens = text_model(input_ids=ids).last_hidden_state[0]
    return assemble_text(tokens, special, names, durations[0] if durations else None, 64)


def test_special_tokens_survive_the_official_file(tmp_path):
    table = torch.randn(len(SPECIAL_TOKEN_NAMES), 96)
    save_special_tokens(tmp_path / "special_tokens.npz", table)
    loaded = load_special_tokens(tmp_path / "special_tokens.npz", channels=96)
    for name, row in zip(SPECIAL_TOKEN_NAMES, table, strict=True):
        assert torch.equal(loaded.get(name), row.half().float())


def test_a_grown_vocabulary_keeps_what_its_words_meant():
    words, rows, fresh = {"<pad>": 0, "star": 1}, torch.randn(2, 4), torch.randn(3, 4)
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "camera": 1, "star": 2}, unk_token="<pad>"))
    moved = rows_by_word(rows, words, fresh, tokenizer)
    assert torch.equal(moved[[0, 2]], rows)
    assert torch.allclose(moved[1] / moved[1].norm(), fresh[1] / fresh[1].norm())


def test_the_flat_optimiser_learns_and_keeps_an_average():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).bfloat16()
    master = Master(model.named_parameters(), decay=0.0, betas=(0.9, 0.99), ema=0.9, clip=1.0)
    x = torch.randn(64, 4)
    target = x.sum(1, keepdim=True).tanh()

    def loss() -> torch.Tensor:
        return (model(x.bfloat16()).float() - target).square().mean()

    start = float(loss().detach())
    for _ in range(150):
        loss().backward()
        master.step(1e-2)
    assert float(loss().detach()) < 0.3 * start
    averages = master.averaged()
    assert set(averages) == {name for name, _ in model.named_parameters()}
    assert averages["0.weight"].dtype == torch.float32


def test_a_gradient_that_is_not_finite_changes_nothing():
    model = nn.Linear(3, 1)
    master = Master(model.named_parameters(), decay=0.0, betas=(0.9, 0.99), ema=0.9, clip=1.0)
    before = model.weight.detach().clone()
    (model(torch.ones(1, 3)) * float("nan")).sum().backward()
    master.step(1e-2)
    assert torch.equal(model.weight, before)


def test_training_goes_on_from_raw_weights_with_the_average_that_there_was():
    torch.manual_seed(0)
    module = nn.Linear(3, 3)
    master = Master(module.named_parameters(), decay=0.0, betas=(0.9, 0.97), ema=0.99, clip=1.0)
    raw = {name: value + 1 for name, value in master.current().items()}
    average = {name: value.clone() for name, value in master.averaged().items()}
    master.go_on_from(raw)
    assert all(torch.equal(parameter, raw[name]) for name, parameter in module.named_parameters())
    module(torch.ones(1, 3)).sum().backward()
    master.step(0.0)
    assert all(torch.allclose(value, average[name] + 0.01, atol=1e-3) for name, value in master.averaged().items())
