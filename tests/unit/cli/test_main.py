"""The command line itself."""

from __future__ import annotations

from magi_core.cli.main import main


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
