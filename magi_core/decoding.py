"""A take's chunks as frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from magi_core.config import CHUNK_FRAMES
from magi_core.errors import MagiError

if TYPE_CHECKING:
    from magi_core.state import SamplerState
    from magi_core.vae import VAE


@dataclass(frozen=True, eq=False)
class TakeDecoder:
    """Decodes any part of a take with `vae`; memory does not grow with length."""

    vae: VAE

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """See `Engine.decode`."""
        end = state.finished if state.chunks else -(-state.prefix_latent_frames // CHUNK_FRAMES)
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            raise MagiError(f"cannot decode chunks {start} to {stop}: this video has chunks 0 to {end}")
        latents = state.latents_between(start, stop)
        quirks = state.settings.reference_quirks
        return self.vae.decode(latents, first_frame=start * CHUNK_FRAMES, reference_quirks=quirks)
