"""Contact sheets: one row per chunk, its frames in order, its prompt beside it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

from magi_core.errors import MagiError
from magi_core.video import contact_sheet as contact_sheet_module
from magi_core.video.contact_sheet import (
    BACKGROUND,
    GAP,
    LABEL_WIDTH,
    MARGIN,
    ContactSheet,
    contact_sheet,
    spread,
    wrap,
)

LEFT = MARGIN + LABEL_WIDTH + MARGIN


def chunk(number: int, frames: int = 24, height: int = 64, width: int = 64) -> torch.Tensor:
    """Frames whose red is the chunk and whose green is the frame."""
    block = torch.zeros(frames, height, width, 3, dtype=torch.uint8)
    block[..., 0] = 60 * (number + 1)
    block[..., 1] = 10 * torch.arange(frames)[:, None, None]
    return block


def pictures(path) -> list[list[tuple[int, int, int]]]:
    """Colours of the small frames, by row, found by looking along the middle of the first column."""
    sheet = Image.open(path).convert("RGB")
    column = [sheet.getpixel((LEFT + 5, y)) for y in range(sheet.height)]
    tops = [y for y in range(1, sheet.height) if column[y] != BACKGROUND and column[y - 1] == BACKGROUND]
    size = next(n for n in range(1, sheet.width) if sheet.getpixel((LEFT + n, tops[0] + 5)) == BACKGROUND)
    return [[sheet.getpixel((x, top + 5)) for x in range(LEFT + 5, sheet.width - MARGIN, size + GAP)] for top in tops]


def test_a_row_per_chunk_with_eight_frames_in_order(tmp_path):
    contact_sheet([chunk(0), chunk(1), chunk(2)], ["a", "b", "c"], tmp_path / "s.png")
    rows = pictures(tmp_path / "s.png")
    assert len(rows) == 3
    for number, row in enumerate(rows):
        assert [red for red, _, _ in row] == [60 * (number + 1)] * 8
        assert [green // 10 for _, green, _ in row] == [0, 3, 7, 10, 13, 16, 20, 23]


def test_a_cut_last_chunk_shows_what_it_has(tmp_path):
    contact_sheet([chunk(0), chunk(1, frames=8)], ["a", "b"], tmp_path / "s.png")
    rows = pictures(tmp_path / "s.png")
    assert [green // 10 for _, green, _ in rows[1][:3]] == [0, 3, 7]
    assert rows[1][3] == BACKGROUND


def test_streamed_blocks_draw_the_same_sheet(tmp_path):
    video = torch.cat([chunk(0), chunk(1)])
    contact_sheet([chunk(0), chunk(1)], ["a", "b"], tmp_path / "a.png")
    sheet = ContactSheet(24)
    for block in video.split(7):
        sheet.add(block)
    sheet.save(tmp_path / "b.png", ["a", "b"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_only_small_copies_are_kept():
    sheet = ContactSheet(24)
    sheet.add(chunk(0, height=512, width=512))
    assert len(sheet.rows[0]) == 8
    assert all(picture.width * picture.height < 25_000 for picture in sheet.rows[0])


def test_a_long_video_shows_its_first_rows_and_says_so(monkeypatch):
    monkeypatch.setattr(contact_sheet_module, "MAX_ROWS", 3)
    sheet, whole = ContactSheet(24), ContactSheet(24)
    for number in range(5):
        sheet.add(chunk(number % 3))
        if number < 3:
            whole.add(chunk(number % 3))
    assert sheet.note == "the contact sheet shows the first 3 of 5 rows" and whole.note == ""
    assert sheet.draw(["a"] * 5).tobytes() == whole.draw(["a"] * 3).tobytes()
    assert sum(map(len, sheet.rows)) == 24


def test_prompts_change_only_their_labels(tmp_path):
    for name, prompts in (("a", ["one", "two"]), ("b", ["one", "something else"])):
        contact_sheet([chunk(0), chunk(1)], prompts, tmp_path / f"{name}.png")
    first, second = (Image.open(tmp_path / f"{name}.png") for name in "ab")
    assert first.crop((LEFT, 0, *first.size)).tobytes() == second.crop((LEFT, 0, *second.size)).tobytes()
    middle = first.height // 2
    assert first.crop((0, 0, LEFT, middle)).tobytes() == second.crop((0, 0, LEFT, middle)).tobytes()
    assert first.tobytes() != second.tobytes()


@pytest.mark.parametrize(("count", "wanted", "expected"), [(3, 8, [0, 1, 2]), (24, 2, [0, 23]), (24, 1, [12])])
def test_spread(count, wanted, expected):
    assert spread(count, wanted) == expected


@given(st.text(max_size=300), st.integers(1, 6))
def test_wrapped_lines_fit_and_lose_nothing_without_saying_so(text, lines):
    font = ImageFont.load_default(16)
    wrapped = wrap(text, font, 160, lines)
    assert len(wrapped) <= lines
    assert all(font.getlength(line) <= 160 for line in wrapped)
    kept = "".join("".join(wrapped).split())
    assert kept == "".join(text.split()) or kept.endswith("...")


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(MagiError, match="no frames"):
        contact_sheet([], [], tmp_path / "s.png")
    with pytest.raises(MagiError, match=r"written as png: s\.gif -> use s\.png"):
        contact_sheet([chunk(0)], ["a"], tmp_path / "s.gif")
    with pytest.raises(MagiError, match="there is no folder"):
        contact_sheet([chunk(0)], ["a"], tmp_path / "nowhere" / "s.png")
