"""Commands run in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from magi_core.cli.main import main
from tests.unit.cli.stand_in import StandIn
from tests.unit.cli.takes import STEPS
from tools.small_models import tiny_engine


@pytest.fixture
def render(tmp_path, monkeypatch):
    """Runs `render` with a stand-in engine in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()

    def run(*arguments, engine=None, size=("--width", "64", "--height", "64")) -> int:
        load = (engine or StandIn()).load
        return main(["render", "--model", "model", "--out", "a.mp4", *size, *map(str, arguments)], load=load)

    return run


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs a command with a small random model in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    engines = {"model": tiny_engine(steps=STEPS), "other": tiny_engine(True, steps=STEPS)}

    def run(name, *arguments, engine=None) -> int:
        model = () if "--model" in arguments or name == "info" else ("--model", "model")
        return main([name, *map(str, arguments), *model], load=lambda model, **_: engine or engines[model])

    return run


@pytest.fixture
def take(command) -> Path:
    """Two chunks of 32x32, saved by `render`."""
    size = ("--width", 32, "--height", 32, "--seed", 5)
    assert command("render", "red", "blue", *size, "--out", "first.mp4", "--save", "take.magi") == 0
    return Path("take.magi")
