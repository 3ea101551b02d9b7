"""The command line itself."""

from __future__ import annotations

from magi_core.cli.main import main


def test_a_command_is_needed(capsys):
    assert main([]) == 2
    assert main(["fly"]) == 2
    assert "Traceback" not in capsys.readouterr().err
