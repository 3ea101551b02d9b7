"""The one door of all that the command line prints."""

from __future__ import annotations

import sys

from magi_core.errors import printable


def say(text: str, *, error: bool = False) -> None:
    """Print a line or several, to stderr where it is an error. Names and prompts come from files: nothing in them may
    act on the terminal, and letters that it cannot show are written as their escapes."""
    stream = sys.stderr if error else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
