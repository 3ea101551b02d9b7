"""nano's text side: a word tokenizer, a small T5 encoder, and the table of learned special tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn

from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES
from tools.nano.captions import vocabulary
from tools.nano.recipe import T5_CONFIG

PADDING, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SPECIAL_INDEX = {name: index for index, name in enumerate(SPECIAL_TOKEN_NAMES)}
OTHER_ROWS = {
    "TRANS": 0,
    "HQ": 1,
    "STATIC_FIRST_FRAMES": 2,
    "DYNAMIC_FIRST_FRAMES": 3,
    "BORDERNESS": 4,
    **{f"DURATION_{n}": 6 + n for n in range(1, 9)},
    "THREE_D_MODEL": 15,
    "TWO_D_ANIME": 16,
}  # the official file's rows; the rest of its 100 rows has no known meaning and holds zeros here


def make_tokenizer() -> Tokenizer:
    """Lower-cased words and marks of nano's captions; everything else is `<unk>`."""
    words = {word: index for index, word in enumerate([PADDING, END, UNKNOWN, *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def make_text_model(tokenizer: Tokenizer) -> nn.Module:
    """An untrained T5 encoder for this tokenizer, float32."""
    from transformers import T5Config, T5EncoderModel

    model = T5EncoderModel(T5Config(vocab_size=tokenizer.get_vocab_size(), **T5_CONFIG))
    nn.init.normal_(model.shared.weight, std=1.0)
    return model


def caption_ids(tokenizer: Tokenizer, captions: list[list[str]], length: int) -> tuple[Tensor, Tensor]:
    """Token ids [N, chunks, length] with the end token last, padded with 0, and their counts [N, chunks]."""
    flat = [caption for clip in captions for caption in clip]
    end = tokenizer.token_to_id(END)
    rows = np.zeros((len(flat), length), dtype=np.int64)
    counts = np.zeros(len(flat), dtype=np.int64)
    for row, encoding in enumerate(tokenizer.encode_batch(flat, add_special_tokens=False)):
        ids = [*encoding.ids[: length - 1], end]
        rows[row, : len(ids)] = ids
        counts[row] = len(ids)
    shape = (len(captions), -1)
    return torch.from_numpy(rows).view(*shape, length), torch.from_numpy(counts).view(shape)


def save_text_model(folder: Path, tokenizer: Tokenizer, model: nn.Module, weights: dict[str, Tensor]) -> None:
    """A T5 folder as the engine loads it: config.json, tokenizer.json, model.safetensors (float32)."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "t5",
        "architectures": ["T5EncoderModel"],
        "vocab_size": tokenizer.get_vocab_size(),
    }
    (folder / "config.json").write_text(json.dumps(config | T5_CONFIG, indent=1) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))
    skipped = "encoder.embed_tokens.weight"  # the same tensor as shared.weight
    state = {k: v.detach().to("cpu", torch.float32).contiguous() for k, v in weights.items() if k != skipped}
    missing = {k for k in model.state_dict() if k != skipped} - set(state)
    if missing:
        raise ValueError(f"the text model lacks {sorted(missing)}")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def save_special_tokens(path: Path, table: Tensor) -> None:
    """`special_tokens.npz` with the official keys and rows, from a table in the order of
    `SPECIAL_TOKEN_NAMES`."""
    rows = table.detach().float().cpu().numpy().astype(np.float64)
    other = np.zeros((100, rows.shape[1]))
    for name, row in OTHER_ROWS.items():
        other[row] = rows[SPECIAL_INDEX[name]]
    arrays = {
        "caption_token": rows[SPECIAL_INDEX["CAPTION"]][None],
        "logo_token": rows[SPECIAL_INDEX["LOGO"]][None],
    }
    np.savez(path, other_tokens=other.astype(np.float16).astype(np.float64), **arrays)


def load_special_table(path: Path) -> Tensor:
    """The table back from `special_tokens.npz`."""
    from magi_core.text.special_tokens import load_special_tokens

    tokens = load_special_tokens(path)
    return torch.stack([tokens.get(name) for name in SPECIAL_TOKEN_NAMES])
