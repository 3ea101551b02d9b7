"""What a codec has to say while a node uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from magi_core.vae import VAE as Codec

from .progress import show_notes


@contextmanager
def noting(codec: Codec, node_id: str | None) -> Iterator[None]:
    """Notes (smaller tiles, because memory ran out) are shown on the node, if any, and logged."""
    before, codec.on_note = codec.on_note, lambda note: show_notes(node_id, [note])
    try:
        yield
    finally:
        codec.on_note = before
