"""Faults on purpose: files, folders and processes of a small render."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from magi_core.cli.main import main
from tools.faults.render import STEPS
from tools.small_models import tiny_engine


@pytest.fixture
def command(tmp_path, monkeypatch) -> Callable[..., int]:
    """Runs a command with a small random model in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*words, engine=None) -> int:
        return main([str(word) for word in words], load=lambda *_, **__: engine or tiny_engine(steps=STEPS))

    return run
