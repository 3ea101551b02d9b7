"""The MAGI-1 engine: plain PyTorch, useful with or without ComfyUI.

    import magi_core
    engine = magi_core.load("nano")
    state = engine.begin(width=128, height=128, seed=7)
    state = engine.extend(state, ["a large red circle moves left", "it stops"], chunks=2)
    frames = engine.decode(state)

Importing this package imports no PyTorch; names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magi_core.config import Guidance, SamplingSettings
    from magi_core.engine import Engine
    from magi_core.errors import MagiError
    from magi_core.loading import load
    from magi_core.state import Cancelled, ChunkRecord, SamplerState, load_state

_HOME = {
    "Cancelled": "state",
    "ChunkRecord": "state",
    "Engine": "engine",
    "Guidance": "config",
    "MagiError": "errors",
    "SamplerState": "state",
    "SamplingSettings": "config",
    "load": "loading",
    "load_state": "state",
}
__all__ = [
    "Cancelled",
    "ChunkRecord",
    "Engine",
    "Guidance",
    "MagiError",
    "SamplerState",
    "SamplingSettings",
    "load",
    "load_state",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
