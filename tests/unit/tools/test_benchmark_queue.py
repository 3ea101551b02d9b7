"""The queue of GPU measurements keeps to its time, says how each ended, and goes on where it was broken off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import queue
from benchmarks.queue import Measurement


def run(monkeypatch: pytest.MonkeyPatch, out: Path, seconds: float, *measurements: Measurement) -> list[list[str]]:
    """Rows of done.txt: name, how it ended, seconds."""
    monkeypatch.setattr(queue, "MEASUREMENTS", measurements)
    monkeypatch.setattr(sys, "argv", ["queue", str(seconds), "--out", str(out)])
    queue.main()
    return [line.split("\t") for line in (out / "done.txt").read_text().splitlines()]


def test_what_does_not_fit_is_left_out_and_what_ended_well_is_not_run_again(monkeypatch, tmp_path) -> None:
    quick = Measurement("quick", 20, "queue 1 --list")
    wrong = Measurement("wrong", 20, "queue none")
    long = Measurement("long", 200, "queue 1 --list")
    rows = run(monkeypatch, tmp_path, 100, quick, wrong, long)
    assert [row[:2] for row in rows] == [["quick", "0"], ["wrong", "2"]]
    assert "memory: 80 s" in (tmp_path / "logs" / "quick.log").read_text()
    again = run(monkeypatch, tmp_path, 100, quick, wrong, long)
    assert [row[0] for row in again[2:]] == ["wrong"]


def test_what_takes_far_longer_than_its_estimate_is_ended(monkeypatch, tmp_path) -> None:
    rows = run(monkeypatch, tmp_path, 100, Measurement("slow", 0.05, "queue 1 --list"))
    assert [row[:2] for row in rows] == [["slow", "too long"]]


def test_what_needs_a_package_that_is_not_there_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(queue, "installed_sage", lambda: False)
    names = [each.name for each in queue.wanted(None, {"memory"})]
    assert "forward-24B" in names and "forward-24B-sage" not in names and "memory" not in names
    assert [each.name for each in queue.wanted(["growth"], set())] == ["growth"]
