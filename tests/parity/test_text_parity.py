"""Caption cleaning and the assembly of text with special tokens, against the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from magi_core.text import (
    SpecialTokens,
    assemble_null,
    assemble_text,
    clean_caption,
    load_special_tokens,
    prepare_caption,
)
from tools.parity.golden import Case, cases, max_error

HEAD = 16  # token positions that the golden heads keep

CAPTIONS = [(case, entry) for case in cases("caption_cleaning") for entry in case.meta["cases"]]
TOKEN_FILES = cases("special_tokens")
ASSEMBLIES = [
    pytest.param(case, entry, id=f"{case.name}-{entry['case']}")
    for case in TOKEN_FILES
    for entry in case.meta.get("cases", ())
]
NAMED = [case for case in TOKEN_FILES if "by_name_order" in case.meta]

Compared = Callable[[str, str, float], None]


def test_golden_text_cases_are_there() -> None:
    assert CAPTIONS and ASSEMBLIES and NAMED, "no golden text cases found: check MAGI_GOLDEN_DIR"


@pytest.mark.parametrize(("case", "entry"), CAPTIONS)
def test_caption_cleaning(case: Case, entry: dict[str, str], compared: Compared) -> None:
    assert clean_caption(entry["input"]) == entry["once"]
    assert prepare_caption(entry["input"]) == entry["twice"]
    compared(case.kind, f"{case.name}: {entry['input']!r}", 0.0)


@pytest.mark.parametrize(("case", "entry"), ASSEMBLIES)
def test_text_of_every_chunk(case: Case, entry: dict[str, Any], compared: Compared, tmp_path: Path) -> None:
    golden, index = case.tensors(), entry["case"]
    special = _saved_and_loaded(golden, tmp_path)
    caption = golden[f"caption_{entry['caption']}"][0, 0]
    tokens, max_length = caption[: entry["valid_tokens"]], caption.shape[0]
    names = [_ours(key) for key in entry["special_token_keys"]]
    heads, visible = golden[f"c{index}_cond_head"], golden[f"c{index}_cond_mask_sum"]
    total, clean = entry["infer_chunk_num"], entry["clean_chunk_num"]
    assert len(heads) == len(visible) == total

    for chunk in range(clean, total):  # whole prefix chunks have no visible text and no forward reads them
        duration = total - chunk if "DURATION" in names else None
        text = assemble_text(tokens, special, names, duration, max_length)
        assert text.shape[0] == visible[chunk]
        error = max_error(text[:HEAD], heads[chunk][: len(text)])
        if f"c{index}_cond_full" in golden:
            mask = golden[f"c{index}_cond_mask_full"][chunk].bool()
            error = max(error, max_error(text, golden[f"c{index}_cond_full"][chunk][mask]))
        assert error == 0
        assert torch.equal(text[len(names) :], tokens[: max_length - len(names)])
        compared(case.kind, f"{case.name}-{index}", error)


@pytest.mark.parametrize(("case", "entry"), ASSEMBLIES)
def test_null_text(case: Case, entry: dict[str, Any], compared: Compared, tmp_path: Path) -> None:
    golden, index = case.tensors(), entry["case"]
    negative = [_ours(key) for key in entry["negative_keys"] or ()]
    null = assemble_null(golden["null_caption_embedding"], _saved_and_loaded(golden, tmp_path), negative)
    assert {len(null)} == set(golden[f"c{index}_null_mask_sum"].tolist())
    error = max_error(null[:HEAD], golden[f"c{index}_null_head"][0])
    assert error == 0
    assert torch.equal(null[len(negative) :], golden["null_caption_embedding"][: len(null) - len(negative)])
    compared(case.kind, f"{case.name}-{index} null", error)


@pytest.mark.parametrize("case", NAMED, ids=repr)
def test_every_special_token_by_name(case: Case, compared: Compared, tmp_path: Path) -> None:
    golden = case.tensors()
    special = _saved_and_loaded(golden, tmp_path)
    tokens = torch.zeros(1, golden["by_name"].shape[1])
    for key, expected in zip(case.meta["by_name_order"], golden["by_name"], strict=True):
        name = _ours(key)
        names, duration = ((name,), None)
        if name.startswith("DURATION_"):
            names, duration = (), int(name.removeprefix("DURATION_"))
        text = assemble_text(tokens, special, names, duration, 800)
        assert torch.equal(special.get(name), expected)
        assert torch.equal(text, torch.stack([expected, tokens[0]]))
        compared(case.kind, f"{case.name}: {key}", 0.0)


@pytest.mark.parametrize("case", NAMED, ids=repr)
def test_unknown_names_are_ignored(case: Case, compared: Compared, tmp_path: Path) -> None:
    golden = case.tensors()
    expected, tokens = golden["unknown_then_hq_head"], golden["caption_short"][0, 0]
    text = assemble_text(tokens, _saved_and_loaded(golden, tmp_path), ("UNKNOWN", "HQ"), None, tokens.shape[0])
    assert torch.equal(text[: len(expected)], expected)
    compared(case.kind, f"{case.name}: unknown name", 0.0)


@pytest.mark.parametrize("case", TOKEN_FILES, ids=repr)
def test_special_token_files_are_rounded_to_half_precision(case: Case, compared: Compared, tmp_path: Path) -> None:
    golden = case.tensors()
    special = _saved_and_loaded(golden, tmp_path)
    assert torch.equal(special.get("HQ"), golden["other_tokens"][1].half().float())
    assert torch.equal(special.get("LOGO"), golden["logo_token"][0].half().float())
    assert not torch.equal(special.get("HQ").double(), golden["other_tokens"][1].double())
    compared(case.kind, f"{case.name}: file", 0.0)


def _saved_and_loaded(golden: dict[str, Tensor], folder: Path) -> SpecialTokens:
    """The golden's stand-in tokens, through a file like the official one."""
    path = folder / "special_tokens.npz"
    np.savez(path, **{key: golden[key].numpy() for key in ("caption_token", "logo_token", "other_tokens")})
    return load_special_tokens(path)


def _ours(key: str) -> str:
    """HQ_TOKEN -> HQ, DURATION_TOKEN_3 -> DURATION_3."""
    return key.replace("_TOKEN", "")
