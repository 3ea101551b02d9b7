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
            {"magi_core/video/frame_source.py", "magi_core/video/mp4.py", "magi_core/video/recording.py"},
        ),
    ],
)
def test_every_reader_goes_through_one_place(call, allowed):
    """mp4.py and recording.py open files to write them."""
    sources = [file for folder in ("magi_core", "nodes", "scripts") for file in (REPOSITORY / folder).rglob("*.py")]
    found = {file.relative_to(REPOSITORY).as_posix() for file in sources if re.search(call, file.read_text("utf-8"))}
    assert found == allowed
