"""The one door of all that the command line prints."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from magi_core.errors import printable


def say(text: str, *, error: bool = False) -> None:
    """Print a line or several, to stderr where it is an error. Names and prompts come from files: nothing in them may
    act on the terminal, and letters that it cannot show are written as their escapes."""
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), file=Steady(stream), flush=True)


class Steady:
    """A stream whose reader may go away (`| head`): what is written from then on is lost, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._let_go()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._let_go()

    def _let_go(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
