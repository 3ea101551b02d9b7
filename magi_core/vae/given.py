"""A video file that is continued: looked through first, then encoded, a chunk of its frames in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae.prefix import encode_video, filling_notes, missing_frames
from magi_core.vae.source import once, within_reason
from magi_core.video.files import reading_notes, sound_of
from magi_core.video.frame_source import FrameSource, OnCount
from magi_core.video.images import fit
from magi_core.video.rate import exact_fps
from magi_core.video.sound import Sound

if TYPE_CHECKING:
    from magi_core.vae import VAE


@dataclass(frozen=True, eq=False)
class GivenVideo:
    """Part of a video file at a rate and size. frames: of it. notes: what reading it changes, in words. sound: as long
    as the frames, or None."""

    path: Path
    rate: Fraction
    size: tuple[int, int]
    policy: str
    start: Fraction
    frames: int
    notes: tuple[str, ...] = ()
    sound: Sound | None = None

    def __len__(self) -> int:
        return self.frames

    def encoded(self, vae: VAE, on_count: OnCount | None = None) -> tuple[Tensor, tuple[str, ...]]:
        """Latents [1, C, n / 4, height / 8, width / 8], and what was done, as `encode_prefix`.

        on_count: as for `look_through`. Raises `MagiError` where the file is another one by now.
        """
        source = FrameSource(self.path, start=self.start, on_count=on_count)
        pictures = islice(within_reason(source, self.rate, *self.size), self.frames)
        fitted = (fit(pixels[None], *self.size, self.policy)[0][0] for pixels in once(pictures))
        found, latents = 0, []
        for frames in _pieces(fitted, VIDEO_FRAMES_PER_CHUNK - missing_frames(self.frames)):
            found += len(frames)
            latents.append(encode_video(vae, frames))
        if found != self.frames:
            raise MagiError(f"{self.path} was changed while it was read: {found} of {self.frames} frames are left")
        return torch.cat(latents, dim=2), filling_notes(self.frames)


def look_through(
    path: str | Path,
    *,
    width: int,
    height: int,
    fps: float | str | Fraction = 24,
    policy: str = "crop",
    start: Fraction = Fraction(0),
    seconds: Fraction | None = None,
    on_count: OnCount | None = None,
) -> GivenVideo:
    """Read a video file, or `seconds` of it from `start` on, without keeping a frame.

    policy: see `fit`. on_count: told after every picture how many were decoded; what it raises stops the reading.
    Raises `MagiError` as `read_video`.
    """
    rate, source = exact_fps(fps), FrameSource(path, start=start, on_count=on_count)
    most = None if seconds is None else max(round(seconds * rate), 1)
    frames, note = 0, ""
    for picture in islice(within_reason(source, rate, width, height), most):
        if not frames:
            note = fit(picture()[None], width, height, policy)[1]
        frames += 1
    if not frames:
        raise MagiError(
            f"{path} has no frame that can be read: it is damaged, or ends before the part that is asked for"
        )
    notes = reading_notes(source, rate, frames, note)
    sound, silent = sound_of(source.path, start, frames / rate)
    return GivenVideo(source.path, rate, (width, height), policy, start, frames, (*notes, *silent), sound)


def _pieces(frames: Iterator[Tensor], first: int) -> Iterator[Tensor]:
    """Whole chunks [n, H, W, 3] of frames, the first of `first`, the last of what is left."""
    count = first
    while piece := list(islice(frames, count)):
        yield torch.stack(piece)
        count = VIDEO_FRAMES_PER_CHUNK
