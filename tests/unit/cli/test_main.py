"""The command line itself."""

from __future__ import annotations

import os
import sys

from magi_core.cli.main import main
from tests.unit.cli.stand_in import greys


def test_a_command_is_needed(capsys):
    assert main([]) == 2
    assert main(["fly"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_console_that_is_not_utf_8_gets_escapes(monkeypatch):
    import io
    import sys

    from magi_core.cli.say import say

    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    say("a \U0001f600 falls, caf\u00e9")
    assert console.buffer.getvalue().decode("cp1252").split("\n")[0].strip() == "a \\U0001f600 falls, caf\u00e9"


def test_a_render_whose_messages_nobody_reads_any_more_is_finished(render, monkeypatch, tmp_path):
    """As in `render ... 2>&1 | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as unread:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", unread)
        monkeypatch.setattr(sys, "stderr", unread)
        assert render("a", "--chunks", 3) == 0
        monkeypatch.undo()
    assert greys(tmp_path / "a.mp4") == [0] * 24 + [1] * 24 + [2] * 24
