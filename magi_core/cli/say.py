"""The one door of all that the command line prints."""

from __future__ import annotations

import sys

from magi_core.errors import printable


def say(text: str, *, error: bool = False) -> None:
    """Print a line or several, to stderr where it is an error. Names and prompts come from files: nothing in them may
    act on the terminal."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=True)
