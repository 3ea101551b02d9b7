"""A disk that is full at any write: said in words, nothing finished is lost, nothing half-written is left."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from magi_core import load_state
from magi_core.video import read_video
from tools.faults.disk import FullDisk
from tools.faults.render import SAVED, SHOWN, TAKE, VIDEO, Render, render_words, resume_words

CHUNKS, SHEET = 3, "sheet.png"
WRITES = 3 * CHUNKS + 1 + 3  # a chunk, the head, the video each; the video's first is a file; rewrite, take, sheet
RENDER = [*render_words(CHUNKS), "--contact-sheet", SHEET]


def test_so_many_writes_there_are(tmp_path):
    render = Render(tmp_path, RENDER, lambda: FullDisk(WRITES).begin())
    assert render.end() == 0, render.said
    (tmp_path / "more").mkdir()
    assert Render(tmp_path / "more", RENDER, lambda: FullDisk(WRITES - 1).begin()).end() == 2


@pytest.mark.parametrize("room", [0, 2000])
@pytest.mark.parametrize("number", range(WRITES))
def test_a_disk_that_is_full_at_any_write(tmp_path, number, room):
    (tmp_path / VIDEO).write_bytes(b"an older film")
    render = Render(tmp_path, RENDER, lambda: FullDisk(number, room).begin())
    assert render.end() == 2, render.said
    error = render.said.splitlines()[-1]
    assert "magi: cannot write the " in error and "the disk is full" in error and "Make room" in error, render.said
    assert "Traceback" not in render.said
    saved, shown = render.events.count(SAVED), min(render.events.count(SHOWN), CHUNKS)
    if saved:
        assert load_state(tmp_path / TAKE).finished >= saved
    if shown:
        assert len(read_video(tmp_path / VIDEO).frames) >= shown * 24
    else:
        assert (tmp_path / VIDEO).read_bytes() == b"an older film"
    if (tmp_path / SHEET).exists():
        Image.open(tmp_path / SHEET).load()
    assert set(os.listdir(tmp_path)) <= {TAKE, f"{TAKE}.parts", VIDEO, SHEET}
    if saved == 0:
        assert set(os.listdir(tmp_path)) == {VIDEO}

    again = Render(tmp_path, resume_words() if 0 < saved < CHUNKS else RENDER)  # with room
    assert again.end() == 0, again.said
    assert load_state(tmp_path / TAKE).finished == CHUNKS
    assert set(os.listdir(tmp_path)) <= {TAKE, VIDEO, SHEET}


def test_what_was_finished_is_named(tmp_path):
    render = Render(tmp_path, RENDER, lambda: FullDisk(7).begin())  # the head with the second chunk... or the third
    assert render.end() == 2
    assert f"its first {render.events.count(SAVED)} chunks are in {TAKE}.parts" in render.said
    assert f"wrote {VIDEO}: {render.events.count(SHOWN)} of {CHUNKS} chunks" in render.said
