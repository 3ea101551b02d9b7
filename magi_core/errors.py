"""The error that leaves the engine on purpose."""

from __future__ import annotations


class MagiError(ValueError):
    """Something the user can mend. The message says what was wrong, what is allowed and what to do."""
