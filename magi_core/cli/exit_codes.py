"""Exit codes of the command line."""

from __future__ import annotations

OK, INCOMPLETE, BAD_INPUT, STOPPED = 0, 1, 2, 130
