"""A take's chunks as frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from magi_core.config import CHUNK_FRAMES, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.host_memory import return_freed_memory
from magi_core.state.behind import one_behind
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
    behind: torch.device | None = None,
) -> Iterator[SamplerState]:
    """Decode every chunk that `states` finish into `recording`, and yield the states on.

    states: as `Engine.stream` yields them; the chunks of the first one are all decoded, given ones included. A chunk
    is in the file before the state that finished it is yielded.
    stop: frames that the video has; None: all of them. on_frames: gets every frame of it, in order, in blocks uint8
    [n, H, W, 3].
    behind: the device on which chunks are decoded beside the making of the next state, see `one_behind`: a thread of
    its own decodes, writes and calls `on_frames`. None: one thing after the other. The file is the same.
    Frames of one chunk at most are in memory beside those the encoder has not packed yet.
    """
    film = _Film(decoder, recording, stop, on_frames)
    if behind is not None:
        yield from one_behind(states, film.take_in, behind)
        return
    for state in states:
        film.take_in(state)
        yield state


@dataclass
class _Film:
    """What of a video is in a recording. done: chunks. position: frames, those behind its end included."""

    decoder: Decoder
    recording: VideoRecording
    stop: int | None
    on_frames: Callable[[Tensor], None] | None
    done: int = 0
    position: int = 0

    def take_in(self, state: SamplerState, stopped: Callable[[], bool] = lambda: False) -> None:
        """The chunks of `state` that it lacks; the file keeps whole chunks where it is `stopped`."""
        while self.done < state.finished:
            for block in self.decoder.decode(state, start=self.done, stop=self.done + 1):
                if stopped():
                    return
                wanted = block if self.stop is None else block[: max(self.stop - self.position, 0)]
                if self.on_frames is not None:
                    self.on_frames(wanted)
                self.recording.write(wanted)
                self.position += len(block)
            self.recording.flush()
            self.done += 1
            return_freed_memory()
