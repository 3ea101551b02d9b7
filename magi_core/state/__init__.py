"""A video in progress as an immutable value."""

from magi_core.state.autosave import Autosave
from magi_core.state.chunk import ChunkRecord, PlacedChunk
from magi_core.state.frontier import Frontier, InFlight
from magi_core.state.of_vae import other_vae
from magi_core.state.resized import resized, resizing_in_words
from magi_core.state.save import load_state, save_state
from magi_core.state.state import Cancelled, SamplerState
from magi_core.state.unfinished import Unfinished

__all__ = [
    "Autosave",
    "Cancelled",
    "ChunkRecord",
    "Frontier",
    "InFlight",
    "PlacedChunk",
    "SamplerState",
    "Unfinished",
    "load_state",
    "other_vae",
    "resized",
    "resizing_in_words",
    "save_state",
]
