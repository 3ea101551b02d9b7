"""Special tokens: embeddings that were prepended to training captions as switches (quality, style, duration)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from magi_core.digest import digest
from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import open_regular

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
            raise MagiError(f"there is no special token {echo(name)}; known are {', '.join(self.rows)}")
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


MAX_ARRAY_BYTES = 16 << 20  # the published tables take 0.6 MB
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|]f[248])', 'fortran_order': (True|False), 'shape': \((\d{1,7}), (\d{1,7}),?\),? ?\}"
)
_WHERE_TO_GET_IT = (
    "Expected is special_tokens.npz, which is published beside the MAGI-1 reference code (example/assets) and holds "
    "the embeddings of the special tokens (high quality, duration, 3-D, ...). Copy it there, or switch the special "
    "tokens off."
)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The three arrays of the file, checked for shape and kind."""
    if not path.exists():
        raise MagiError(f"there is no special-token file at {path}. {_WHERE_TO_GET_IT}")
    try:
        with open_regular(path, "special-token file") as file, zipfile.ZipFile(file) as archive:
            arrays = {name: _read_array(archive, name) for name in ("caption_token", "logo_token", "other_tokens")}
    except MagiError:
        raise
    except Exception as error:  # zip files can be damaged in many ways
        raise MagiError(f"{path} cannot be read as special tokens ({echo(error)}). {_WHERE_TO_GET_IT}") from None
    least_rows = {"caption_token": 1, "logo_token": 1, "other_tokens": max(_OTHER_ROWS.values()) + 1}
    width = arrays["other_tokens"].shape[-1:]
    for name, array in arrays.items():
        if array.shape[0] < least_rows[name] or array.shape[1:] != width:
            raise MagiError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, expected floats of shape "
                f"({least_rows[name]} or more, channels). {_WHERE_TO_GET_IT}"
            )
    return arrays


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """A table of floats, read only where the archive holds as many bytes as it promises, and those are few.

    NumPy's own reader sets memory aside for what the header says, and evaluates that header as Python. Source: the .npy
    format (numpy.lib.format).
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in an unusual way")
    with archive.open(member) as stream:
        content = stream.read(MAX_ARRAY_BYTES + 1)
    if len(content) > MAX_ARRAY_BYTES:
        raise ValueError(f"{name} takes more than {MAX_ARRAY_BYTES:,} bytes")
    wide = content[6:7] > b"\x01"  # versions 2 and 3 have a longer header
    start = (12 if wide else 10) + int.from_bytes(content[8 : 12 if wide else 10], "little")
    header = _NPY_HEADER.fullmatch(content[12 if wide else 10 : start].strip())
    if not content.startswith(b"\x93NUMPY") or header is None:
        raise ValueError(f"{name} is no table of floats")
    dtype, order, rows, columns = header.groups()
    shape = int(rows), int(columns)
    table = np.frombuffer(content, np.dtype(dtype.decode()), offset=start)
    return table.reshape(shape, order="F" if order == b"True" else "C")
