"""A name that is being written is refused to every other writer, at its start, until the first is done or dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from magi_core import load_state
from magi_core.errors import MagiError
from magi_core.state import Autosave
from magi_core.video import VideoWriter, read_video
from magi_core.video.contact_sheet import ContactSheet
from magi_core.video.recording import VideoRecording
from magi_core.writing.claim import Claim, is_claimed
from magi_core.writing.replacing import discard
from tests.pictures import numbered
from tools.faults.render import SAVED, TAKE, VIDEO, Render, render_words
from tools.small_models import tiny_engine

SIZE = {"width": 64, "height": 64, "fps": 24}
WRITTEN = "is being written by another run"
HOLD = (
    "import sys, time; from magi_core.writing.claim import Claim; c = Claim(sys.argv[1]); print('held', flush=True); "
)


def holder(path, then="time.sleep(60)"):
    process = subprocess.Popen([sys.executable, "-c", HOLD + then, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def writers(folder):
    """Each kind of writer at a name of its own: (name, what begins to write it)."""
    sheet = ContactSheet(1)
    sheet.add(numbered(1))
    state = tiny_engine().begin(width=32, height=32)
    return [
        ("recorded.mp4", lambda path: VideoRecording(path, **SIZE, replace=True)),
        ("whole.mp4", lambda path: VideoWriter(path, 24)),
        ("growing.magi", Autosave),
        ("saved.magi", state.save),
        ("sheet.png", lambda path: sheet.save(path, ["red"])),
    ]


@pytest.mark.parametrize("kind", range(5))
def test_every_writer_is_refused_a_name_that_another_process_writes(tmp_path, kind):
    name, begin = writers(tmp_path)[kind]
    (tmp_path / name).write_bytes(b"finished")
    process = holder(tmp_path / name)
    with pytest.raises(MagiError, match=WRITTEN):
        begin(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"finished"
    process.kill()
    process.wait()
    made = begin(tmp_path / name)  # the lock died with its process
    del made
    assert not [entry for entry in os.listdir(tmp_path) if entry.endswith(".part")]


def test_one_process_has_one_writer_a_name_as_well(tmp_path):
    with VideoRecording(tmp_path / "a.mp4", **SIZE), pytest.raises(MagiError, match=WRITTEN):
        VideoRecording(tmp_path / "a.mp4", **SIZE)
    refused = []
    with Autosave(tmp_path / "a.magi"):

        def second():
            with pytest.raises(MagiError, match=WRITTEN):
                Autosave(tmp_path / "a.magi")
            refused.append(True)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert refused and os.listdir(tmp_path) == []


def test_a_name_said_in_another_way_is_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    with Claim(tmp_path / "link" / "a.mp4"), pytest.raises(MagiError, match=WRITTEN):
        Claim("a.mp4")


def test_the_second_of_two_renders_is_refused_before_its_model_is_loaded(tmp_path, command, capsys):
    first = Render(tmp_path, render_words(12))
    first.follow(lambda events: SAVED in events)
    os.kill(first.process, signal.SIGSTOP)
    asked = {TAKE: ["--save", TAKE, "--out", "b.mp4"], VIDEO: ["--out", VIDEO]}
    for name, words in asked.items():
        assert command("render", "green", "--width", 32, "--height", 32, *words, engine="never asked") == 2
        assert f"{name} {WRITTEN}" in capsys.readouterr().err
    assert command("extend", TAKE, "--prompt", "green", engine="never asked") == 2
    assert f"{TAKE} {WRITTEN}" in capsys.readouterr().err
    os.kill(first.process, signal.SIGCONT)
    assert first.end() == 0
    assert load_state(tmp_path / TAKE).finished == 12 and len(read_video(tmp_path / VIDEO).frames) == 12 * 24
    assert sorted(os.listdir(tmp_path)) == [VIDEO, TAKE]


def test_renders_without_a_name_pass_by_each_other(tmp_path, command, capsys):
    with Claim(tmp_path / "output" / "magi_0001.mp4"):
        assert command("render", "red", "--chunks", 1, "--width", 32, "--height", 32) == 0
    assert os.listdir(tmp_path / "output") == ["magi_0002.mp4"]


def test_what_a_killed_writer_left_is_taken_away_by_the_next_in_its_folder(tmp_path):
    then = "from magi_core.writing.replacing import Replacement; from pathlib import Path; "
    then += "Replacement(Path(sys.argv[1]), 'x').part.write_text('half'); import os; os.kill(os.getpid(), 9)"
    holder(tmp_path / "a.mp4", then).wait()
    assert len(os.listdir(tmp_path)) == 2
    with Claim(tmp_path / "b.mp4"):
        assert os.listdir(tmp_path) == [".b.mp4.magi-lock"]


def test_what_an_interrupt_kept_a_writer_from_removing_goes_with_its_claim(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with Claim(tmp_path / "a.magi"):
        (tmp_path / "a.magi.parts").mkdir()
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("magi_core.writing.replacing.shutil.rmtree", interrupted)
            discard(tmp_path / "a.magi.parts", tmp_path / "a.magi")
        assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == []


def test_what_a_living_writer_has_is_left_alone(tmp_path):
    then = "from magi_core.writing.replacing import Replacement; from pathlib import Path; "
    then += "r = Replacement(Path(sys.argv[1]), 'x'); r.part.write_text('whole'); sys.stdin.read(); r.keep()"
    command = [sys.executable, "-c", HOLD + then, str(tmp_path / "a.mp4")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    Claim(tmp_path / "b.mp4").release()
    assert is_claimed(tmp_path / "a.mp4")
    process.communicate("")
    assert (tmp_path / "a.mp4").read_text() == "whole" and os.listdir(tmp_path) == ["a.mp4"]


def test_many_at_once_have_one_winner_each_time(tmp_path):
    won = []
    start = threading.Barrier(8)

    def run():
        for _ in range(8):
            start.wait()
            try:
                claim = Claim(tmp_path / "a.mp4")
            except MagiError:
                claim = None
            won.append(claim is not None)
            start.wait()
            if claim is not None:
                claim.release()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 8 and os.listdir(tmp_path) == []
