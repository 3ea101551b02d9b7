"""From a video to the latents of a source, chunk by chunk: no more than one chunk of frames is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magi_core.config import FRAMES_PER_LATENT, MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae.encoded_before import EncodedBefore
from magi_core.video.files import check_pauses, check_room, reading_notes
from magi_core.video.frame_source import FrameSource, OnCount, resample
from magi_core.video.images import fit
from magi_core.video.rate import exact_fps

LATENT_BYTES = 16 * 4 / (8 * 8 * FRAMES_PER_LATENT)  # of a pixel of a frame

if TYPE_CHECKING:
    from magi_core.vae import VAE


@dataclass(frozen=True, eq=False)
class EncodedVideo:
    """latents: [1, C, 6 n, height / 8, width / 8]. frames: of the video; repeats of the last one fill the last chunk.
    notes: what was done to it, in words."""

    latents: Tensor
    frames: int
    notes: tuple[str, ...] = ()


def encode_source(
    vae: VAE,
    path: str | Path,
    *,
    width: int,
    height: int,
    fps: float | str | Fraction = 24,
    policy: str = "crop",
    start: Fraction = Fraction(0),
    seconds: Fraction | None = None,
    on_count: OnCount | None = None,
) -> EncodedVideo:
    """A video file, or `seconds` of it from `start` on, brought to `fps` and to a size.

    It is looked through before anything is encoded: what is refused is refused soon. policy: see `fit`. on_count: told
    after every picture how many were decoded, both times; what it raises stops the reading.
    """
    rate, source = exact_fps(fps), FrameSource(path, start=start, on_count=on_count)
    most = None if seconds is None else max(round(seconds * rate), 1)
    for _ in islice(within_reason(source, rate, width, height), most):
        pass
    pictures = once(islice(within_reason(source, rate, width, height), most))
    found = encode_pictures(vae, pictures, width=width, height=height, policy=policy, what=str(path))
    notes = (*reading_notes(source, rate, found.frames), *found.notes)
    return EncodedVideo(found.latents, found.frames, notes)


def encode_pictures(
    vae: VAE, pictures: Iterable[Tensor], *, width: int, height: int, policy: str = "crop", what: str = "the video"
) -> EncodedVideo:
    """Pictures uint8 [H, W, 3], fitted to a size. what: they are of, for messages. Chunks that were encoded before are
    not encoded again: see `EncodedBefore`."""
    encoded = EncodedBefore(vae)
    latents: list[Tensor] = []
    frames: list[Tensor] = []
    count, notes = 0, dict[str, None]()
    for picture in pictures:
        fitted, note = fit(picture[None], width, height, policy)
        notes |= {note: None} if note else {}
        frames.append(fitted[0])
        count += 1
        if len(frames) == VIDEO_FRAMES_PER_CHUNK:
            latents.append(encoded(torch.stack(frames)))
            frames = []
        if len(latents) > MAX_CHUNKS:
            raise MagiError(f"{what} is too long: a take has up to {MAX_CHUNKS:,} chunks. Cut it into parts")
    if frames:
        missing = VIDEO_FRAMES_PER_CHUNK - len(frames)
        latents.append(encoded(torch.stack([*frames, *[frames[-1]] * missing])))
        notes[f"the last frame is repeated to fill its chunk of {VIDEO_FRAMES_PER_CHUNK}, and shown once"] = None
    if not latents:
        raise MagiError(
            f"{what} has no frame that can be read: it is damaged, or ends before the part that is asked for"
        )
    return EncodedVideo(torch.cat(latents, dim=2), count, tuple(notes))


def within_reason(source: FrameSource, rate: Fraction, width: int, height: int) -> Iterator[Callable[[], Tensor]]:
    """Pictures at `rate`. `MagiError` for a file that would become more latents of a size in pixels than a file like it
    may, and for a few pictures that stay on for hours."""
    for count, picture in enumerate(resample(source, rate), 1):
        check_room(source, count, rate, width * height * LATENT_BYTES)
        check_pauses(source, count, rate)
        yield picture


def once(pictures: Iterable[Callable[[], Tensor]]) -> Iterator[Tensor]:
    """Their pixels; a picture that stays on is converted once."""
    latest, pixels = None, None
    for picture in pictures:
        if picture is not latest or pixels is None:
            latest, pixels = picture, picture()
        yield pixels
