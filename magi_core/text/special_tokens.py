"""Special tokens: embeddings that were prepended to training captions as switches (quality, style, duration)."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magi_core.digest import digest
from magi_core.errors import MagiError

MAX_DURATION = 8  # "8 or more chunks to come, this one included"

_OTHER_ROWS: dict[str, int] = {  # rows of `other_tokens`; 5, 6 and those from 17 on have no known meaning
    "TRANS": 0,
    "HQ": 1,
    "STATIC_FIRST_FRAMES": 2,
    "DYNAMIC_FIRST_FRAMES": 3,
    "BORDERNESS": 4,
    **{f"DURATION_{n}": 6 + n for n in range(1, MAX_DURATION + 1)},
    "THREE_D_MODEL": 15,
    "TWO_D_ANIME": 16,
}

SPECIAL_TOKEN_NAMES: tuple[str, ...] = ("CAPTION", "LOGO", *_OTHER_ROWS)


@dataclass(frozen=True, eq=False)
class SpecialTokens:
    """rows: name (see `SPECIAL_TOKEN_NAMES`) -> embedding [C], fp32, holding float16 values as the reference does."""

    rows: Mapping[str, Tensor]

    @cached_property
    def key(self) -> str:
        """Digest of all rows."""
        return digest(tuple(self.rows), *self.rows.values())

    @property
    def channels(self) -> int:
        return next(iter(self.rows.values())).shape[0]

    def get(self, name: str) -> Tensor:
        """The embedding [C] of a special token. Unknown names raise `MagiError`."""
        if name not in self.rows:
            raise MagiError(f"there is no special token {name!r}; known are {', '.join(self.rows)}")
        return self.rows[name]


def load_special_tokens(path: str | Path, *, channels: int | None = None) -> SpecialTokens:
    """Reads `special_tokens.npz`: `caption_token` [1, C], `logo_token` [1, C], `other_tokens` [>=17, C], any floats.

    channels: width of the model's text input; another width in the file is an error.
    Raises `MagiError` when the file is missing, damaged, something else, or of another width. Pickles are never read.
    """
    path = Path(path)
    arrays = _read_npz(path)
    rows = {"CAPTION": arrays["caption_token"][0], "LOGO": arrays["logo_token"][0]}
    rows |= {name: arrays["other_tokens"][row] for name, row in _OTHER_ROWS.items()}
    with np.errstate(over="ignore"):
        tensors = {name: torch.from_numpy(row.astype(np.float16)).float() for name, row in rows.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise MagiError(f"{path} holds numbers that are not finite in half precision. {_WHERE_TO_GET_IT}")
    tokens = SpecialTokens(tensors)
    if channels is not None and tokens.channels != channels:
        raise MagiError(
            f"{path} holds tokens of {tokens.channels} channels, but this model reads text of {channels} channels: "
            "use the special_tokens.npz that belongs to the model, or switch the special tokens off"
        )
    return tokens


_WHERE_TO_GET_IT = (
    "Expected is special_tokens.npz, which is published beside the MAGI-1 reference code (example/assets) and holds "
    "the embeddings of the special tokens (high quality, duration, 3-D, ...). Copy it there, or switch the special "
    "tokens off."
)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The three arrays of the file, checked for shape and kind."""
    if not path.is_file():
        raise MagiError(f"there is no special-token file at {path}. {_WHERE_TO_GET_IT}")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("not an .npz archive")
        with archive:
            arrays = {name: archive[name] for name in ("caption_token", "logo_token", "other_tokens")}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MagiError(f"{path} cannot be read as special tokens ({error}). {_WHERE_TO_GET_IT}") from None
    least_rows = {"caption_token": 1, "logo_token": 1, "other_tokens": max(_OTHER_ROWS.values()) + 1}
    width = arrays["other_tokens"].shape[-1:]
    for name, array in arrays.items():
        fits = array.ndim == 2 and array.shape[0] >= least_rows[name] and array.shape[1:] == width
        if not fits or not np.issubdtype(array.dtype, np.floating):
            raise MagiError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, expected floats of shape "
                f"({least_rows[name]} or more, channels). {_WHERE_TO_GET_IT}"
            )
    return arrays
