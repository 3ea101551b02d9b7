"""A take is on disk while it is being made, at the same cost for every chunk."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import magi_core
from magi_core.errors import MagiError
from magi_core.state import Autosave
from magi_core.state.save import parts_folders
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}

KILLED = """
import os, sys
from magi_core.state import Autosave, load_state
from tools.small_models import tiny_engine
engine = tiny_engine()
path, broken_at = sys.argv[1], int(sys.argv[2])
begun = load_state(path) if "again" in sys.argv else engine.begin(width=32, height=32, seed=3)
with Autosave(path) as saved:
    for state in engine.stream(begun, ["red", "blue", "green", "red"]):
        saved.write(state)
        if state.finished == broken_at:
            os._exit(9)
"""


def killed(path, finished, *words):
    done = subprocess.run([sys.executable, "-c", KILLED, path, str(finished), *words], timeout=120)
    assert done.returncode == 9


def test_a_crash_loses_the_chunks_in_flight_only(tmp_path):
    path = tmp_path / "take.magi"
    killed(path, 3)
    assert not path.exists()
    left = magi_core.load_state(path)
    engine = tiny_engine()
    whole = engine.extend(engine.begin(**SIZE, seed=3), ["red", "blue", "green", "red"])
    assert [c.prompt for c in left.chunks] == ["red", "blue", "green"]
    assert torch.equal(left.latents, whole.at(3).latents)

    killed(path, 5, "again")  # gone on with, broken off again
    assert [c.prompt for c in magi_core.load_state(path).chunks] == ["red", "blue", "green", "red", "blue"]


def test_leaving_makes_one_file(tmp_path):
    engine, path = tiny_engine(), tmp_path / "take.magi"
    given = torch.randn(1, 16, 8, 4, 4)
    with Autosave(path) as saved:
        for state in engine.stream(engine.begin(**SIZE, prefix=given), ["red", "blue"]):
            saved.write(state)
            assert torch.equal(magi_core.load_state(path).latents, state.latents)
    assert [entry.name for entry in tmp_path.iterdir()] == ["take.magi"]
    loaded = magi_core.load_state(path)
    assert torch.equal(loaded.latents, state.latents) and loaded.frontier.key == state.frontier.key


def test_saving_a_take_replaces_one_that_was_broken_off(tmp_path):
    path = tmp_path / "take.magi"
    killed(path, 2)
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), "green")
    state.save(path)
    assert [c.prompt for c in magi_core.load_state(path).chunks] == ["green"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode, "others may read it as they may other files"


def test_an_error_keeps_what_was_written(tmp_path):
    engine, path = tiny_engine(), tmp_path / "take.magi"
    with pytest.raises(RuntimeError, match="power"), Autosave(path) as saved:
        for state in engine.stream(engine.begin(**SIZE), ["red", "blue"]):
            saved.write(state)
            raise RuntimeError("power")
    assert [c.prompt for c in magi_core.load_state(path).chunks] == ["red"]


def test_a_chunk_costs_the_same_wherever_it_is(tmp_path, monkeypatch):
    written = []
    write = magi_core.state.autosave.write_part

    def counted(path, *rest):
        write(path, *rest)
        written[-1].append((path.name.split(".")[0], path.stat().st_size))

    monkeypatch.setattr("magi_core.state.autosave.write_part", counted)
    engine = tiny_engine(steps=4)
    with Autosave(tmp_path / "take.magi") as saved:
        for state in engine.stream(engine.begin(**SIZE), "red", 12):
            written.append([])
            saved.write(state)
    assert [[name for name, _ in files] for files in written] == [["chunk", "head"]] * 12
    sizes = [sum(size for _, size in files) for files in written[:-1]]  # the last has the pipeline in its head
    assert max(sizes) - min(sizes) < 64, "but for the digits of numbers"


def test_an_unwritable_place_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("no folder")
    engine = tiny_engine()
    with pytest.raises(MagiError, match="cannot write the take"):
        Autosave(tmp_path / "file" / "take.magi").write(engine.begin(**SIZE))
    assert all(not folder.exists() for folder in parts_folders(tmp_path / "file" / "take.magi"))
