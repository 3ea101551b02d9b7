"""A video that is given, to be continued or made anew: looked through first, then read again, a picture at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from torch import Tensor

from magi_core.config import FRAMES_PER_LATENT
from magi_core.errors import MagiError
from magi_core.video.files import check_pauses, check_room, reading_notes, sound_of
from magi_core.video.frame_source import FrameSource, OnCount, resample
from magi_core.video.images import fit, noted_frames
from magi_core.video.rate import exact_fps
from magi_core.video.sound import Sound

LATENT_BYTES = 16 * 4 / (8 * 8 * FRAMES_PER_LATENT)  # of a pixel of a frame


@dataclass(frozen=True, eq=False)
class GivenFile:
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

    def __str__(self) -> str:
        return str(self.path)

    def pictures(self, on_count: OnCount | None = None) -> Iterator[Tensor]:
        """Its frames uint8 [H, W, 3] at the size, read anew.

        on_count: as for `look_through`. Raises `MagiError` where the file is another one by now.
        """
        source = FrameSource(self.path, start=self.start, on_count=on_count)
        found = 0
        for pixels in _once(islice(_within_reason(source, self.rate, *self.size), self.frames)):
            found += 1
            yield fit(pixels[None], *self.size, self.policy)[0][0]
        if found != self.frames:
            raise MagiError(f"{self.path} was changed while it was read: {found} of {self.frames} frames are left")


@dataclass(frozen=True, eq=False)
class GivenFrames:
    """A video in memory, uint8 or float32 in 0..1 [T, H, W, 3], at a size. Else as `GivenFile`. name: for messages."""

    frames: Tensor
    size: tuple[int, int]
    policy: str
    notes: tuple[str, ...] = ()
    sound: Sound | None = None
    name: str = "the video"

    def __len__(self) -> int:
        return len(self.frames)

    def __str__(self) -> str:
        return self.name

    def pictures(self, on_count: OnCount | None = None) -> Iterator[Tensor]:
        """Its frames [H, W, 3] at the size. on_count: told before every frame how many it is; may raise to stop."""
        for count, frame in enumerate(self.frames, 1):
            if on_count is not None:
                on_count(count)
            yield fit(frame[None], *self.size, self.policy)[0][0]


GivenVideo = GivenFile | GivenFrames


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
) -> GivenFile:
    """Read a video file, or `seconds` of it from `start` on, without keeping a frame: what is refused is refused before
    any of it is encoded.

    policy: see `fit`. on_count: told after every picture how many were decoded; what it raises stops the reading.
    Raises `MagiError` as `read_video`.
    """
    rate, source = exact_fps(fps), FrameSource(path, start=start, on_count=on_count)
    most = None if seconds is None else max(round(seconds * rate), 1)
    frames, note = 0, ""
    for picture in islice(_within_reason(source, rate, width, height), most):
        if not frames:
            note = fit(picture()[None], width, height, policy)[1]
        frames += 1
    if not frames:
        raise MagiError(
            f"{path} has no frame that can be read: it is damaged, or ends before the part that is asked for"
        )
    notes = reading_notes(source, rate, frames, note)
    sound, silent = sound_of(source.path, start, frames / rate)
    return GivenFile(source.path, rate, (width, height), policy, start, frames, (*notes, *silent), sound)


def given_frames(
    frames: object, *, width: int, height: int, policy: str = "crop", name: str = "video", sound: Sound | None = None
) -> GivenFrames:
    """A video [T, H, W, 3] in memory. frames, name: see `noted_frames`. policy: see `fit`."""
    pixels, done = noted_frames(frames, name)
    fitted = fit(pixels[:1], width, height, policy)[1]
    notes = (*done, fitted) if fitted else done
    return GivenFrames(pixels, (width, height), policy, notes, sound, f"the {name}")


def _within_reason(source: FrameSource, rate: Fraction, width: int, height: int) -> Iterator[Callable[[], Tensor]]:
    """Pictures at `rate`. `MagiError` for a file that would become more latents of a size in pixels than a file like it
    may, and for a few pictures that stay on for hours."""
    for count, picture in enumerate(resample(source, rate), 1):
        check_room(source, count, rate, width * height * LATENT_BYTES)
        check_pauses(source, count, rate)
        yield picture


def _once(pictures: Iterable[Callable[[], Tensor]]) -> Iterator[Tensor]:
    """Their pixels; a picture that stays on is converted once."""
    latest, pixels = None, None
    for picture in pictures:
        if picture is not latest or pixels is None:
            latest, pixels = picture, picture()
        yield pixels
