"""Files and folders that others remove or replace while they are written, and a clock that is set back."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

from magi_core import load_state
from magi_core.errors import MagiError
from magi_core.state import Autosave
from magi_core.state.files import take_fingerprint
from magi_core.video import VideoWriter, read_video
from magi_core.video.recording import VideoRecording
from tests.pictures import numbered, numbers
from tools.small_models import tiny_engine

SIZE = {"width": 64, "height": 64, "fps": 24}


def test_a_video_that_is_removed_while_it_grows_is_put_back(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    path.parent.mkdir()
    with VideoRecording(path, **SIZE) as recording:
        for chunk, remove in enumerate((None, path.unlink, lambda: shutil.rmtree(path.parent))):
            if remove is not None:
                remove()
            recording.write(numbered(8 * chunk + 8, first=8 * chunk))
            recording.flush()
    assert numbers(read_video(path).frames) == list(range(24)) and os.listdir(path.parent) == ["a.mp4"]


def test_a_video_removed_after_its_last_chunk_is_put_back(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoRecording(path, **SIZE) as recording:
        recording.write(numbered(24))
        recording.flush()
        path.unlink()
    assert recording.note == "" and numbers(read_video(path).frames) == list(range(24))


def test_what_a_killed_process_has_half_added_is_not_shown(tmp_path, monkeypatch):
    path, seen, sizes = tmp_path / "a.mp4", [], []
    sync = os.fsync

    def before_the_end(descriptor):
        sync(descriptor)
        seen.append(path.read_bytes() if path.exists() else b"")

    with VideoRecording(path, **SIZE) as recording:
        for chunk in range(2):
            recording.write(numbered(8 * chunk + 8, first=8 * chunk))
            recording.flush()
            sizes.append(path.stat().st_size)
            monkeypatch.setattr("magi_core.video.recording.os.fsync", before_the_end)
    half = tmp_path / "half.mp4"
    half.write_bytes(seen[0])  # all but the first bytes of the second chunk
    assert len(seen[0]) == len(seen[1]) == sizes[1] and numbers(read_video(half).frames) == list(range(8))
    for size in range(sizes[0] + 1, sizes[1], 997):
        half.write_bytes(seen[0][:size])
        assert numbers(read_video(half).frames) == list(range(8))


def test_a_file_put_in_the_place_of_a_growing_video_stays_and_so_does_the_video(tmp_path):
    path, theirs = tmp_path / "a.mp4", tmp_path / "theirs"
    expected = pytest.raises(MagiError, match="another program put a file.*the 24 frames before are in .*a_2.mp4")
    with expected, VideoRecording(path, **SIZE) as recording:
        recording.write(numbered(24))
        recording.flush()
        theirs.write_bytes(b"theirs")
        os.replace(theirs, path)
        recording.write(numbered(48, first=24))
        recording.flush()
    assert path.read_bytes() == b"theirs"
    assert numbers(read_video(tmp_path / "a_2.mp4").frames) == list(range(24))
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "a_2.mp4"]


def test_a_video_written_whole_outlives_its_folder(tmp_path):
    path = tmp_path / "sub" / "a.mp4"
    path.parent.mkdir()
    with pytest.raises(MagiError, match="its folder is gone"), VideoWriter(path, 24) as writer:
        writer.write(numbered(3))
        shutil.rmtree(path.parent)
    assert not path.exists()


@pytest.mark.parametrize("what", ["take.magi.parts", "."])
def test_a_take_whose_folder_is_removed_while_it_grows_is_written_once_more(tmp_path, what):
    engine, path = tiny_engine(), tmp_path / "sub" / "take.magi"
    given = torch.randn(1, 16, 8, 4, 4)
    with Autosave(path) as saved:
        for state in engine.stream(engine.begin(width=32, height=32, prefix=given), ["red", "blue", "green"]):
            saved.write(state)
            if len(state.chunks) == 2:
                shutil.rmtree(path.parent / what)
            else:
                assert torch.equal(load_state(path).latents, state.latents)
    assert os.listdir(path.parent) == ["take.magi"]
    assert torch.equal(load_state(path).latents, state.latents)


def test_a_first_chunk_that_cannot_be_saved_leaves_the_take_that_was_broken_off(tmp_path, monkeypatch):
    engine, path = tiny_engine(), tmp_path / "take.magi"
    before = engine.extend(engine.begin(width=32, height=32), ["red", "blue"])
    Autosave(path).write(before)  # killed here
    after = engine.extend(engine.begin(width=32, height=32, seed=4), "green")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("magi_core.state.save.save_file", full)
    with pytest.raises(MagiError, match="the disk is full"), Autosave(path) as saved:
        saved.write(after)
    assert torch.equal(load_state(path).latents, before.latents)
    assert os.listdir(tmp_path) == ["take.magi.parts"]


def test_a_clock_set_back_hides_no_change(tmp_path):
    engine, path = tiny_engine(), tmp_path / "take.magi"
    seen = set()
    for seed in (1, 2):
        engine.extend(engine.begin(width=32, height=32, seed=seed), "red").save(path)
        os.utime(path, ns=(10**18, 10**18))
        seen.add(take_fingerprint(path))
    assert len(seen) == 2


@pytest.mark.parametrize("folder", ["take.magi.parts", "take.magi.parts.old"])
@pytest.mark.parametrize("kind", ["file", "pipe", "link", "dangling link"])
def test_what_has_the_name_of_a_takes_folder_stays_and_is_told_of(tmp_path, folder, kind):
    place, other = tmp_path / folder, tmp_path / "other"
    other.mkdir()
    (other / "kept.txt").write_text("kept")
    make = {
        "file": lambda: place.write_text("somebody's"),
        "pipe": lambda: os.mkfifo(place),
        "link": lambda: place.symlink_to(other),
        "dangling link": lambda: place.symlink_to("nowhere"),
    }
    make[kind]()
    before = place.lstat()
    for _ in range(2):
        with pytest.raises(MagiError, match="is in the way: it is no folder"):
            Autosave(tmp_path / "take.magi")
    engine = tiny_engine(steps=4)
    engine.extend(engine.begin(width=32, height=32), "red").save(tmp_path / "take.magi")
    assert os.path.samestat(place.lstat(), before) and os.listdir(other) == ["kept.txt"]
    assert load_state(tmp_path / "take.magi").finished == 1
