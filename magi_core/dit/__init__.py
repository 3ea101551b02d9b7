"""The diffusion transformer: `DiT`, and the contexts that tell one forward what it attends to."""

from magi_core.dit.context import TextAttention, TextContext, WindowAttention
from magi_core.dit.kv import KVLayer, KVPage
from magi_core.dit.model import DiT
from magi_core.dit.pages import OnDevice, Pages, StreamedPages

__all__ = [
    "DiT",
    "KVLayer",
    "KVPage",
    "OnDevice",
    "Pages",
    "StreamedPages",
    "TextAttention",
    "TextContext",
    "WindowAttention",
]
