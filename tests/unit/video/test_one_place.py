"""Pictures and videos are opened in one place each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
GIGABYTE = 1 << 30


@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (r"\bImage\.open\(", {"magi_core/video/images.py"}),
        (
            r"\bav\.open\(",
            {f"magi_core/video/{name}.py" for name in ("frame_source", "mp4", "recording", "sound_track")},
        ),
    ],
)
def test_every_reader_goes_through_one_place(call, allowed):
    """All but frame_source.py open files to write them."""
    sources = [file for folder in ("magi_core", "nodes", "scripts") for file in (REPOSITORY / folder).rglob("*.py")]
    found = {file.relative_to(REPOSITORY).as_posix() for file in sources if re.search(call, file.read_text("utf-8"))}
    assert found == allowed
