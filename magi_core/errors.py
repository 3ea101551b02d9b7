"""The two exceptions that leave the engine on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magi_core.state import SamplerState


class MagiError(ValueError):
    """Something the user can mend. The message says what was wrong, what is allowed and what to do."""


class Cancelled(Exception):
    """Raised when a run is cancelled. `state` holds everything that was finished until then."""

    def __init__(self, state: SamplerState) -> None:
        super().__init__("cancelled; the finished chunks are kept")
        self.state = state
