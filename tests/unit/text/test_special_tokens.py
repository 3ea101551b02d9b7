"""The file of special tokens: its rows, and what a bad one is answered with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from magi_core.errors import MagiError
from magi_core.text import SPECIAL_TOKEN_NAMES, assemble_text, load_special_tokens
from tests.unit.text.token_rows import tokens


def arrays(channels: int = 4) -> dict[str, np.ndarray]:
    other = np.arange(100.0)[:, None].repeat(channels, 1)
    return {"caption_token": -np.ones((1, channels)), "logo_token": np.zeros((1, channels)), "other_tokens": other}


def test_tokens_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MagiError, match="4 channels, the text has 8"):
        assemble_text(torch.zeros(2, 8), tokens(4), ("HQ",), None, 800)
    np.savez(tmp_path / "special_tokens.npz", **arrays(4))
    assert load_special_tokens(tmp_path / "special_tokens.npz", channels=4).channels == 4
    with pytest.raises(MagiError, match="4 channels, but this model reads text of 4096"):
        load_special_tokens(tmp_path / "special_tokens.npz", channels=4096)


def test_rows_of_the_token_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "special_tokens.npz", **arrays())
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
    np.savez(path, **{**arrays(), "other_tokens": np.array([object()] * 100)})


def _damage_key(path: Path) -> None:
    np.savez(path, caption_token=np.zeros((1, 4)))


def _damage_rows(path: Path) -> None:
    np.savez(path, **{**arrays(), "other_tokens": np.zeros((16, 4))})


def _damage_width(path: Path) -> None:
    np.savez(path, **{**arrays(), "logo_token": np.zeros((1, 5))})


def _damage_range(path: Path) -> None:
    np.savez(path, **{**arrays(), "logo_token": np.full((1, 4), 1e6)})


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
    np.savez(path, **arrays())
    damage(path)
    with pytest.raises(MagiError, match="published beside the MAGI-1 reference code") as error:
        load_special_tokens(path)
    assert str(path) in str(error.value)
    assert "switch the special tokens off" in str(error.value)
