"""Prompts before the encoder: cleaning and special tokens, and what a bad token file is answered with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magi_core.errors import MagiError
from magi_core.text import (
    SPECIAL_TOKEN_NAMES,
    SpecialTokens,
    assemble_null,
    assemble_text,
    clean_caption,
    load_special_tokens,
    prepare_caption,
)


def test_importing_the_package_leaves_heavy_libraries_alone() -> None:
    script = "import sys, magi_core.text; print({'transformers', 'bs4', 'ftfy', 'sentencepiece'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- cleaning


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60))
@example("<![x")  # the HTML parser refuses this
@example("half \ud83d an emoji")
@example("<b>" * 2000)
def test_any_text_can_be_cleaned_and_encoded(text: str) -> None:
    cleaned = prepare_caption(text)
    cleaned.encode()
    assert cleaned == cleaned.strip()


def test_two_halves_of_an_emoji_are_joined() -> None:
    assert clean_caption("\ud83d\ude00") == "\U0001f600"


def test_a_prompt_of_five_thousand_words_is_cleaned_whole() -> None:
    assert len(prepare_caption("Lorem ipsum " * 2500).split()) == 5000


# --- special tokens


def _tokens(channels: int = 4) -> SpecialTokens:
    return SpecialTokens({name: torch.full((channels,), float(i)) for i, name in enumerate(SPECIAL_TOKEN_NAMES)})


def _arrays(channels: int = 4) -> dict[str, np.ndarray]:
    other = np.arange(100.0)[:, None].repeat(channels, 1)
    return {"caption_token": -np.ones((1, channels)), "logo_token": np.zeros((1, channels)), "other_tokens": other}


def test_tokens_stand_before_the_caption_in_the_reference_order() -> None:
    special, caption = _tokens(), torch.full((3, 4), 0.5)
    names = ("HQ", "TWO_D_ANIME", "STATIC_FIRST_FRAMES", "THREE_D_MODEL", "DYNAMIC_FIRST_FRAMES", "BORDERNESS")
    order = ["DURATION_8", "TWO_D_ANIME", "THREE_D_MODEL", "HQ", "BORDERNESS", "DYNAMIC_FIRST_FRAMES"]
    text = assemble_text(caption, special, names, 99, 800)
    expected = torch.stack([special.get(name) for name in [*order, "STATIC_FIRST_FRAMES"]])
    assert torch.equal(text, torch.cat([expected, caption]))


def test_a_full_caption_loses_its_end_to_the_special_tokens() -> None:
    caption = torch.arange(10.0)[:, None].repeat(1, 4)
    text = assemble_text(caption, _tokens(), ("HQ",), 1, 10)
    assert text.shape == (10, 4)
    assert torch.equal(text[2:], caption[:8])


def test_switched_off_special_tokens_leave_the_caption_as_it_is() -> None:
    caption = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(assemble_text(caption, None, ("HQ",), 3, 800), caption)
    assert torch.equal(assemble_null(caption, None, ("LOGO",)), caption)


def test_text_keeps_its_own_number_format() -> None:
    assert assemble_text(torch.zeros(2, 4, dtype=torch.bfloat16), _tokens(), ("HQ",), 1, 800).dtype == torch.bfloat16


def test_an_empty_text_is_not_assembled_and_durations_start_at_one() -> None:
    with pytest.raises(ValueError, match="assemble_null"):
        assemble_text(torch.empty(0, 4), _tokens(), ("HQ",), 1, 800)
    with pytest.raises(MagiError, match="at least 1: 0"):
        assemble_text(torch.zeros(2, 4), _tokens(), (), 0, 800)


def test_tokens_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="4 channels, the text has 8"):
        assemble_text(torch.zeros(2, 8), _tokens(4), ("HQ",), None, 800)
    np.savez(tmp_path / "special_tokens.npz", **_arrays(4))
    assert load_special_tokens(tmp_path / "special_tokens.npz", channels=4).channels == 4
    with pytest.raises(MagiError, match="4 channels, but this model reads text of 4096"):
        load_special_tokens(tmp_path / "special_tokens.npz", channels=4096)


def test_rows_of_the_token_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "special_tokens.npz", **_arrays())
    special = load_special_tokens(tmp_path / "special_tokens.npz")
    rows = {name: special.get(name)[0].item() for name in SPECIAL_TOKEN_NAMES}
    assert rows == {
        "CAPTION": -1,
        "LOGO": 0,
        "TRANS": 0,
        "HQ": 1,
        "STATIC_FIRST_FRAMES": 2,
        "DYNAMIC_FIRST_FRAMES": 3,
        "BORDERNESS": 4,
        "THREE_D_MODEL": 15,
        "TWO_D_ANIME": 16,
        **{f"DURATION_{n}": 6 + n for n in range(1, 9)},
    }
    with pytest.raises(MagiError, match="no special token 'HIGH_QUALITY'; known are CAPTION"):
        special.get("HIGH_QUALITY")


def _damage_missing(path: Path) -> None:
    path.unlink()


def _damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def _damage_text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def _damage_pickle(path: Path) -> None:
    np.savez(path, **{**_arrays(), "other_tokens": np.array([object()] * 100)})


def _damage_key(path: Path) -> None:
    np.savez(path, caption_token=np.zeros((1, 4)))


def _damage_rows(path: Path) -> None:
    np.savez(path, **{**_arrays(), "other_tokens": np.zeros((16, 4))})


def _damage_width(path: Path) -> None:
    np.savez(path, **{**_arrays(), "logo_token": np.zeros((1, 5))})


def _damage_range(path: Path) -> None:
    np.savez(path, **{**_arrays(), "logo_token": np.full((1, 4), 1e6)})


def _damage_single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(4))


@pytest.mark.parametrize(
    "damage",
    [
        _damage_missing,
        _damage_cut,
        _damage_text,
        _damage_pickle,
        _damage_key,
        _damage_rows,
        _damage_width,
        _damage_range,
        _damage_single_array,
    ],
)
def test_a_bad_token_file_is_named_with_two_ways_out(damage: object, tmp_path: Path) -> None:
    path = tmp_path / "special_tokens.npz"
    np.savez(path, **_arrays())
    damage(path)
    with pytest.raises(MagiError, match="published beside the MAGI-1 reference code") as error:
        load_special_tokens(path)
    assert str(path) in str(error.value)
    assert "switch the special tokens off" in str(error.value)
