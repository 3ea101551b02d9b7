"""What sampling needs of an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from magi_core.attention.spans import Attention
from magi_core.cache.engine_cache import EngineCache
from magi_core.dit import DiT
from magi_core.host import Host
from magi_core.kernels.compilation import Compiler
from magi_core.text.chunk_text import ChunkTexts


class Sampler(Protocol):
    """The parts of `magi_core.Engine` that make latents; see there."""

    @property
    def dit(self) -> DiT: ...
    @property
    def attention(self) -> Attention: ...
    @property
    def texts(self) -> ChunkTexts: ...
    @property
    def cache(self) -> EngineCache: ...
    @property
    def noise(self) -> Callable[[int, int, tuple[int, ...]], Tensor]: ...
    @property
    def compiler(self) -> Compiler | None: ...
    @property
    def host(self) -> Host: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def weights_digest(self) -> str: ...
    @property
    def vae_identity(self) -> str: ...
    @property
    def model_key(self) -> str: ...
    def decoding_bytes(self, width: int, height: int) -> int: ...
