"""`SamplerState`: what has been made so far. It holds latents and words, no model, no K/V, no device tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from magi_core.config import (
    CHUNK_FRAMES,
    FRAMES_PER_LATENT,
    PIXELS_PER_LATENT,
    VIDEO_FRAMES_PER_CHUNK,
    SamplingSettings,
)
from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.state.chunk import ChunkRecord
from magi_core.state.frontier import Frontier, InFlight
from magi_core.state.unfinished import Unfinished
from magi_core.video.rate import exact_fps
from magi_core.video.sound import Sound


@dataclass(frozen=True, eq=False)
class SamplerState:
    """An immutable video in progress. Extending returns a new one; branches share their common chunks.

    prefix: given latents [1, C, p, h, w] float32 on the CPU, or None. prefix_key: their digest.
    chunks: finished chunks, oldest first.
    frontier: the pipeline as it stood before the next chunk would enter, or None; see `Engine.plan`.
    frontiers: the same at earlier points, where they were saved with the take; `at` goes back to them.
    unfinished: what the run that handed the state out still had to do; None for what a run ends with. Going on with
    what that run was asked takes it up, see `Engine.plan`.
    model: what kind of model made it, in words. weights_digest: of all its tensors, "" where that is not known.
    vae: names the VAE that its latents belong to, "" where that is not known; see `other_vae`.
    end: video frames after which the video ends, inside its last chunk; None: with that chunk.
    total_chunks: how long the video says it will be (duration tokens); None says "8 or more chunks to come" each time.
    notes: what was done to the input, in words for the user (cropped, cut, padded).
    sound: from the first frame on: of the given video, as long as the given part when decoded (see `with_sound`), or of
        the video that a second pass is made from; None: none, or not known.
    filled: decoded frames, 0 to 3, in front of the video: they filled the given one up to whole latent frames, and are
    not shown. All other counts of frames leave them out.
    """

    width: int
    height: int
    fps: float
    seed: int
    settings: SamplingSettings
    channels: int
    fingerprint: str = ""
    prefix: Tensor | None = None
    chunks: tuple[ChunkRecord, ...] = ()
    frontier: Frontier | None = None
    total_chunks: int | None = None
    notes: tuple[str, ...] = ()
    frontiers: tuple[Frontier, ...] = ()
    model: str = ""
    prefix_key: str = ""
    end: int | None = None
    weights_digest: str = ""
    vae: str = ""
    unfinished: Unfinished | None = None
    sound: Sound | None = None
    filled: int = 0

    def noting(self, *notes: str) -> SamplerState:
        """The state with those notes that it does not have yet: a run may be broken off, and go on, many times."""
        new = [note for note in dict.fromkeys(notes) if note and note not in self.notes]
        return replace(self, notes=(*self.notes, *new)) if new else self

    @property
    def prefix_latent_frames(self) -> int:
        return 0 if self.prefix is None else self.prefix.shape[2]

    @property
    def prefix_frames(self) -> int:
        """Video frames at the start that were given (an image or a video), not generated."""
        return max(self.prefix_latent_frames * FRAMES_PER_LATENT - self.filled, 0)

    @property
    def first_chunk(self) -> int:
        """Index of the first generated chunk: the number of chunks that were given whole."""
        return self.prefix_latent_frames // CHUNK_FRAMES

    @property
    def finished(self) -> int:
        """Number of finished chunks, given ones included: the index after the last of them."""
        return self.first_chunk + len(self.chunks)

    @property
    def in_flight(self) -> tuple[InFlight, ...]:
        """The pipeline before the next chunk would enter: chunks that a continuous extend redoes, and pending ones."""
        return () if self.frontier is None else self.frontier.chunks

    @property
    def pending(self) -> tuple[InFlight, ...]:
        """Chunks that were left in flight (`drain=False`): begun, not finished."""
        return tuple(chunk for chunk in self.in_flight if chunk.index >= self.finished)

    @property
    def next_chunk(self) -> int:
        """Index of the chunk that the next extend begins."""
        return self.finished + len(self.pending)

    @property
    def anchor(self) -> Tensor | None:
        """Given frames [C, r, h, w] of the first generated chunk (r < 6), or None."""
        given = self.first_chunk * CHUNK_FRAMES
        if self.prefix is None or self.prefix_latent_frames == given:
            return None
        return self.prefix[0, :, given:]

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """[C, T, h, w] of one chunk."""
        return self.channels, CHUNK_FRAMES, self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT

    @property
    def latents(self) -> Tensor:
        """The whole video so far, prefix included: [1, C, T, h, w] float32 on the CPU."""
        return self.latents_between(0, self.finished + 1)

    def latents_between(self, start: int, stop: int) -> Tensor:
        """Latents [1, C, T, h, w] of chunks `start` to `stop` (exclusive), as far as there are any."""
        if not self.chunks and self.prefix is not None:
            return self.prefix[:, :, start * CHUNK_FRAMES : stop * CHUNK_FRAMES]
        parts = [self.chunk_latent(index) for index in range(start, min(stop, self.finished))]
        if parts:
            return torch.cat(parts, dim=1)[None]
        channels, _, height, width = self.latent_shape
        return torch.zeros(1, channels, 0, height, width)

    @property
    def frames(self) -> int:
        """Video frames that `decode` yields for the whole state."""
        whole = self.finished * VIDEO_FRAMES_PER_CHUNK - self.filled if self.chunks else self.prefix_frames
        return whole if self.end is None else min(self.end, whole)

    def chunk_latent(self, index: int) -> Tensor:
        """Latent [C, 6, h, w] of any finished chunk, given or generated."""
        if self.prefix is not None and index < self.first_chunk:
            return self.prefix[0, :, index * CHUNK_FRAMES : (index + 1) * CHUNK_FRAMES]
        return self.chunks[index - self.first_chunk].latent

    def chunk_key(self, index: int) -> str:
        """Digest of what the latent of a finished chunk, given or generated, depends on."""
        if index < self.first_chunk:
            return digest("given", self.prefix_key, index)
        return self.chunks[index - self.first_chunk].key

    def flown_key(self, index: int) -> str:
        """The same as the run that handed the chunk out had it while it was in flight."""
        flown = "" if index < self.first_chunk else self.chunks[index - self.first_chunk].flown
        return flown or self.chunk_key(index)

    def chunk_sight(self, index: int) -> int:
        """First chunk that a finished chunk may see; given chunks see all before them."""
        return 0 if index < self.first_chunk else self.chunks[index - self.first_chunk].at.sight

    @property
    def wall(self) -> int:
        """First chunk of the shot that goes on when the next chunk does not cut."""
        last = self.pending or self.chunks
        return last[-1].at.wall if last else 0

    def save(self, path: str | Path, *, all_frontiers: bool = False) -> None:
        """Write the take to one file, whole or not at all; `magi_core.load_state` reads it back.

        all_frontiers: with the frontiers of earlier points that this state holds (see `Engine.remembered`), about three
        chunks' latents each; otherwise with its own only.
        """
        from magi_core.state.save import save_state

        save_state(self if all_frontiers else replace(self, frontiers=()), path)

    def with_sound(self, sound: Sound) -> SamplerState:
        """The same with the sound of the given video, which ends where the given part ends. Raises `MagiError` where
        no video was given."""
        if self.prefix is None:
            raise MagiError("a sound belongs to a given video, and this one starts from nothing")
        return replace(self, sound=sound.ending_at(self.prefix_frames / exact_fps(self.fps)))

    def with_chunk(self, record: ChunkRecord) -> SamplerState:
        return replace(self, chunks=(*self.chunks, record), end=None, unfinished=None)

    def at(self, count: int) -> SamplerState:
        """The state as it was after `count` chunks of the video (given ones included): rewind, to fork from there.

        Its frontier is this state's own or one saved with it; where there is none, an engine that remembers the run
        still continues it exactly. What a run still had to do is left behind. Raises `MagiError` for a count this video
        does not have.
        """
        if not self.first_chunk <= count <= self.finished:
            raise MagiError(
                f"cannot go back to {count} chunks: this video has {self.finished}, "
                f"of which {self.first_chunk} were given"
            )
        if count == self.finished and not self.pending:
            return self if self.unfinished is None else replace(self, unfinished=None)
        chunks = self.chunks[: count - self.first_chunk]
        saved = {frontier.next_chunk: frontier for frontier in self.frontiers}
        earlier = tuple(frontier for frontier in self.frontiers if frontier.next_chunk < count)
        return replace(self, chunks=chunks, frontier=saved.get(count), frontiers=earlier, end=None, unfinished=None)


class Cancelled(Exception):
    """Raised when a run is cancelled. `state` holds everything that was finished until then."""

    def __init__(self, state: SamplerState) -> None:
        super().__init__("cancelled; the finished chunks are kept")
        self.state = state
