"""A take's chunks as frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from magi_core.config import CHUNK_FRAMES, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.host_memory import return_freed_memory
from magi_core.state.state import SamplerState

if TYPE_CHECKING:
    from magi_core.vae import VAE
    from magi_core.video.recording import VideoRecording  # brings in the video codecs


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
        blocks = self.vae.decode(latents, first_frame=start * CHUNK_FRAMES, reference_quirks=quirks)
        before = start * VIDEO_FRAMES_PER_CHUNK  # decoded frames in front of these
        return _between(blocks, max(state.filled - before, 0), state.filled + state.frames - before)


def _between(blocks: Iterator[Tensor], first: int, stop: int) -> Iterator[Tensor]:
    """Frames `first` to `stop` (exclusive) of `blocks`."""
    position = 0
    for block in blocks:
        part = block[max(first - position, 0) : max(stop - position, 0)]
        position += len(block)
        if len(part):
            yield part


class Decoder(Protocol):
    """A `TakeDecoder`, or an engine."""

    def decode(self, state: SamplerState, *, start: int = 0, stop: int | None = None) -> Iterator[Tensor]: ...


def record(
    decoder: Decoder,
    states: Iterable[SamplerState],
    recording: VideoRecording,
    *,
    stop: int | None = None,
    on_frames: Callable[[Tensor], None] | None = None,
) -> Iterator[SamplerState]:
    """Decode every chunk that `states` finish into `recording`, and yield the states on.

    states: as `Engine.stream` yields them; the chunks of the first one are all decoded, given ones included. A chunk
    is in the file before the state that finished it is yielded.
    stop: frames that the video has; None: all of them. on_frames: gets every frame of it, in order, in blocks uint8
    [n, H, W, 3].
    Frames of one chunk at most are in memory beside those the encoder has not packed yet.
    """
    done = position = 0
    for state in states:
        while done < state.finished:
            for block in decoder.decode(state, start=done, stop=done + 1):
                wanted = block if stop is None else block[: max(stop - position, 0)]
                if on_frames is not None:
                    on_frames(wanted)
                recording.write(wanted)
                position += len(block)
            recording.flush()
            done += 1
            return_freed_memory()
        yield state
