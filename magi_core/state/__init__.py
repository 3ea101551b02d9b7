"""A generation in progress as an immutable value."""

from magi_core.state.autosave import Autosave
from magi_core.state.frontier import Entering, Frontier, InFlight
from magi_core.state.save import load_state, save_state
from magi_core.state.state import ChunkRecord, SamplerState

__all__ = [
    "Autosave",
    "ChunkRecord",
    "Entering",
    "Frontier",
    "InFlight",
    "SamplerState",
    "load_state",
    "save_state",
]
