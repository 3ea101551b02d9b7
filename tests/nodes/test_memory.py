"""What the desk shows after a reload, and after a restart: of its own workflow, and never what a file only claims."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

KEY, OTHER = "a" * 64, "b" * 64
JPEG = b"\xff\xd8\xff still"


@pytest.fixture
def start(part, tmp_path) -> Any:
    """`start()`: the desk's memory as a new process has it, over the same folder."""
    clips = part("desk.kept_clips").KeptClips
    store = part("desk.store").Store
    return lambda: part("desk.memory").DeskMemory(store(lambda: tmp_path), clips(lambda: tmp_path / "clips"))


@pytest.fixture
def tell(part) -> Any:
    """A run of two chunks, the first of them finished."""
    events = part("desk.events")

    def told(memory: Any, workflow: str = "wf", node: str = "1:2") -> Any:
        run = events.NodeRun(node, workflow, memory.heard)
        run.words = {KEY: {"prompt": "red"}, OTHER: {"prompt": "blue"}}
        fates = tuple(_fate(index, key) for index, key in enumerate((KEY, OTHER)))
        run.tell(events.Plan(0, fates, 22, None, 24.0, 32, 32))
        run.tell(events.Still.of(0, KEY, 1.0, JPEG))
        run.tell(events.Still.of(1, OTHER, 0.5, JPEG + b" noisy"))
        run.tell(events.Progress((events.Flying(1, OTHER, 2, 4, 0.5),), 1, 2, 3, 8, 4.5))
        run.tell(events.Clip(0, KEY, _clip("1")))
        return run

    return told


def _fate(index: int, key: str) -> Any:
    from magi_core.sampling.extension import ChunkFate

    return ChunkFate(index, key, "computed")


def _clip(letter: str) -> str:
    return f"magi_{letter * 32}.mp4"


def _make(name: str) -> Path:
    import folder_paths

    path = Path(folder_paths.get_temp_directory()) / name
    path.write_bytes(b"mp4")
    return path


def test_a_reload_in_mid_run_finds_plan_flight_words_stills_and_clips(start, tell) -> None:
    memory = start()
    tell(memory)
    clip = _make(_clip("1"))
    shown = memory.desk("wf")["nodes"]["1:2"]
    assert shown["status"] == "running" and shown["plan"]["cost"] == 22
    assert shown["progress"]["flight"][0]["stage"] == 2
    assert shown["words"] == {KEY: {"prompt": "red"}, OTHER: {"prompt": "blue"}}
    assert shown["stills"] == {KEY: 1.0, OTHER: 0.5} and shown["clips"] == {KEY: clip.name}
    assert (memory.still(KEY), memory.still(OTHER)) == (JPEG, JPEG + b" noisy")
    assert json.dumps(shown)
    assert memory.desk("other") == {"nodes": {}} == memory.desk("")
    clip.unlink()
    assert memory.desk("wf")["nodes"]["1:2"]["clips"] == {}


def test_after_a_restart_words_keys_and_small_stills_are_there(start, tell, part) -> None:
    before = start()
    run = tell(before)
    run.tell(part("desk.events").Ended("failed", "no room"))
    memory = start()
    shown = memory.desk("wf")["nodes"]["1:2"]
    assert (shown["status"], shown["sentence"], shown["progress"]) == ("failed", "no room", None)
    assert [chunk["key"] for chunk in shown["plan"]["chunks"]] == [KEY, OTHER]
    assert shown["words"][OTHER] == {"prompt": "blue"}
    assert shown["stills"] == {KEY: 1.0} and shown["clips"] == {}
    assert memory.still(KEY) == JPEG and memory.still(OTHER) is None


def test_a_run_that_a_restart_ended_is_over(start, tell) -> None:
    tell(start())
    assert start().desk("wf")["nodes"]["1:2"]["status"] == "interrupted"


DAMAGED: list[Any] = [
    b"",
    b"{",
    b"[]",
    b'{"1:2": 3}',
    b'{"1:2": {"plan": [], "status": {}, "words": [1], "stills": {"../x": 1}, "clips": {"x": 1}, "sentence": 4}}',
    b"[" * 100_000,
    json.dumps({"1:2": {"clips": {KEY: "../../secret.mp4"}}}).encode(),
    json.dumps({"1:2": {"plan": {}}}).encode(),
    json.dumps({"1:2": {"plan": {"chunks": [{"index": "0", "key": 3}]}}}).encode(),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_files_are_as_if_they_were_not_there(start, tell, tmp_path, content) -> None:
    tell(start())
    for path in tmp_path.rglob("*.json"):
        path.write_bytes(content)
    nodes = start().desk("wf")["nodes"]
    assert all(not node["clips"] and node["plan"] is None for node in nodes.values())


def test_a_folder_that_cannot_be_written_stops_no_run(part, tell, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    store, clips = part("desk.store").Store, part("desk.kept_clips").KeptClips
    memory = part("desk.memory").DeskMemory(
        store(lambda: tmp_path / "file"), clips(lambda: tmp_path / "file" / "clips")
    )
    _make(_clip("1"))
    tell(memory)
    memory.saved([KEY])
    assert memory.desk("wf")["nodes"]["1:2"]["plan"]["cost"] == 22


@pytest.mark.parametrize("key", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "\x00"])
def test_a_still_is_named_by_a_digest_and_nothing_else(start, key) -> None:
    assert start().still(key) is None


def test_what_is_kept_is_bounded(start, tell, part, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(part("desk.store"), "MOST_STILLS", 5)
    monkeypatch.setattr(part("desk.store"), "TIDY_EVERY", 2)
    monkeypatch.setattr(part("desk.store"), "MOST_WORKFLOWS", 3)
    memory = start()
    for number in range(12):
        memory.store.keep_still(f"{number:064x}", JPEG)
        tell(memory, workflow=f"w{number}")
    assert len(list((tmp_path / "stills").iterdir())) <= 7
    assert len(list((tmp_path / "workflows").iterdir())) == 3


def test_the_workflow_of_a_prompt_is_what_the_page_says_or_none(part) -> None:
    workflow_of = part("desk.desk").workflow_of
    assert workflow_of({"workflow": {"id": "abc"}}) == "abc"
    for odd in (None, [], {"workflow": None}, {"workflow": {"id": 3}}, {"workflow": {"id": "a" * 5000}}):
        assert workflow_of(odd) == ""


def test_who_asks_for_many_workflows_makes_no_run_forgotten(start, tell, part, monkeypatch) -> None:
    monkeypatch.setattr(part("desk.memory"), "MOST_WORKFLOWS", 3)
    memory = start()
    tell(memory)
    for number in range(10):
        assert memory.desk(f"other {number}") == {"nodes": {}}
    node = memory.desk("wf")["nodes"]["1:2"]
    assert node["status"] == "running" and node["progress"] and node["stills"][OTHER] == 0.5


def test_a_long_prompt_is_remembered_as_far_as_a_cell_shows_it(start, part) -> None:
    memory, events = start(), part("desk.events")
    run = events.NodeRun("1", "wf", memory.heard)
    said = {"prompt": "a" * 50_000, "reroll": 2}
    run.words = {f"{n:064x}": said for n in range(600)}
    run.tell(events.Plan(0, (), 22, None, 24.0, 32, 32))
    (found, *_) = memory.desk("wf")["nodes"]["1"]["words"].values()
    assert len(found["prompt"]) == 1000 and found["prompt"].endswith("a…") and found["reroll"] == 2
    assert said["prompt"] == "a" * 50_000
    assert len(start().desk("wf")["nodes"]["1"]["words"]) == 600, "it was small enough to be kept"


def test_what_is_no_still_does_not_keep_old_stills(start, part, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(part("desk.store"), "MOST_STILLS", 3)
    monkeypatch.setattr(part("desk.store"), "TIDY_EVERY", 2)
    memory = start()
    (tmp_path / "stills" / f"{'c' * 64}.jpg").mkdir(parents=True)
    (tmp_path / "stills" / f"{'d' * 64}.jpg").symlink_to("nowhere")
    for number in range(9):
        memory.store.keep_still(f"{number:064x}", JPEG)
    assert len([path for path in (tmp_path / "stills").iterdir() if path.is_file()]) <= 4


@pytest.fixture
def temp() -> Iterator[Path]:
    """ComfyUI's folder of temporary files, empty."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    for path in folder.iterdir():
        path.unlink()
    yield folder


def _restarted(temp: Path) -> None:
    for path in temp.iterdir():
        path.unlink()


@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
def test_after_a_restart_clips_come_back_whose_chunks_a_saved_take_holds(start, tell, temp, monkeypatch, links) -> None:
    """And for a plan of any workflow; those that no take holds do not."""
    if not links:
        monkeypatch.setattr("os.link", _no_link)
    before = start()
    clip = _make(_clip("1"))
    tell(before)
    _restarted(temp)
    assert start().desk("wf")["nodes"]["1:2"]["clips"] == {}

    _make(_clip("1"))
    before.saved([KEY, OTHER])
    _restarted(temp)
    assert start().clips([OTHER, KEY, ""]) == {KEY: clip.name}
    assert clip.read_bytes() == b"mp4"
    _restarted(temp)
    assert start().desk("wf")["nodes"]["1:2"]["clips"] == {KEY: clip.name}
    assert clip.read_bytes() == b"mp4"


def test_clips_of_an_autosaved_run_are_kept_as_they_are_made(start, part, temp) -> None:
    memory, events = start(), part("desk.events")
    run = events.NodeRun("1", "wf", memory.heard)
    run.saved = True
    _make(_clip("2"))
    run.tell(events.Clip(0, KEY, _clip("2")))
    _restarted(temp)
    assert start().clips([KEY]) == {KEY: _clip("2")}


def test_kept_clips_are_bounded_in_number_and_bytes(start, part, temp, monkeypatch, tmp_path) -> None:
    module, memory = part("desk.kept_clips"), start()
    monkeypatch.setattr(module, "MOST", 4)
    for number in range(8):
        path = _make(f"magi_{number:032x}.mp4")
        os.utime(path, (number, number))
        memory.kept_clips.keep([(f"{number:064x}", path.name)])
    kept = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert [int(name[:64], 16) for name in kept] == [4, 5, 6, 7]
    monkeypatch.setattr(module, "MOST_BYTES", 7)
    path = _make(_clip("f"))
    memory.kept_clips.keep([(KEY, path.name)])
    assert len(list((tmp_path / "clips").iterdir())) == 2


def test_what_is_no_kept_clip_is_never_shown(start, temp, tmp_path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / f"{KEY}.{_clip('1')}").symlink_to(secret)
    (folder / f"{OTHER}.secret.mp4").write_text("x")
    (folder / f"{'c' * 64}.{_clip('3')}").mkdir()
    assert start().clips([KEY, OTHER, "c" * 64, "../secret"]) == {}
    assert not list(temp.iterdir())


def _no_link(*_: Any, **__: Any) -> None:
    raise OSError("another disk")
