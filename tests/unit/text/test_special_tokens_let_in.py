"""What of a file of special tokens is believed: no header, and no more than it may unpack to."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from magi_core.errors import MagiError
from magi_core.text.special_tokens import load_special_tokens
from tests.resident_memory import resident_peak

MEGABYTE = 1 << 20


def npz(path: Path, header: bytes | None = None, body: bytes = b"", how: int = zipfile.ZIP_DEFLATED) -> Path:
    """A file in which `other_tokens` has another header, and `body` behind it."""
    np.savez(path, caption_token=np.ones((1, 4)), logo_token=np.ones((1, 4)))
    with zipfile.ZipFile(path, "a", how) as archive, archive.open("other_tokens.npy", "w", force_zip64=True) as member:
        header = (header or b"{'descr': '<f4', 'fortran_order': False, 'shape': (17, 4), }") + b"\n"
        member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000, 10000), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000, 9999999), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (100, )6), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (17, 4), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (17, 4, 1), }",
        b"(" * 60_000,
        b" ",
    ],
)
def test_headers_are_not_believed(tmp_path, header):
    with pytest.raises(MagiError, match="cannot be read as special tokens"):
        load_special_tokens(npz(tmp_path / "a.npz", header, bytes(17 * 4 * 4)))


def test_members_are_unpacked_as_far_as_they_may_reach(tmp_path):
    path = npz(
        tmp_path / "a.npz",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 2000), }",
        bytes(800 * MEGABYTE),
    )
    assert path.stat().st_size < MEGABYTE
    code = f"from magi_core.text.special_tokens import load_special_tokens\nload_special_tokens({str(path)!r})"
    assert resident_peak(code) < 100 * MEGABYTE
    with pytest.raises(MagiError, match="takes more than"):
        load_special_tokens(path)
    with pytest.raises(MagiError, match="unusual way"):
        load_special_tokens(npz(tmp_path / "b.npz", body=bytes(17 * 4 * 4), how=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_tables_read_as_numpy_reads_them(tmp_path, dtype, order):
    tables = {name: np.random.default_rng(0).normal(size=(rows, 6)).astype(dtype, order=order)
              for name, rows in (("caption_token", 1), ("logo_token", 1), ("other_tokens", 20))}  # fmt: skip
    np.savez(tmp_path / "a.npz", **tables)
    np.savez_compressed(tmp_path / "b.npz", **tables)
    for name in ("a.npz", "b.npz"):
        special = load_special_tokens(tmp_path / name)
        assert np.array_equal(
            special.get("HQ").numpy(), tables["other_tokens"][1].astype(np.float16).astype(np.float32)
        )
