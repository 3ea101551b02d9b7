"""Video files in and out through PyAV, one frame at a time: memory does not grow with length when writing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.animated import is_webp
from magi_core.video.frame_source import FrameSource, OnCount, resample
from magi_core.video.hdr import note_on
from magi_core.video.images import fit
from magi_core.video.mp4 import Mp4Encoder, check_even, check_frames, tags_of
from magi_core.video.output_path import check_output
from magi_core.video.rate import exact_fps
from magi_core.video.sound import BYTES_PER_SECOND, Sound, SoundSource
from magi_core.video.sound_file import read_sound
from magi_core.video.sound_track import SoundTrack
from magi_core.writing.claim import Claim
from magi_core.writing.replacing import Replacement

MAX_FRAMES = 40_000  # 27 minutes at 24 fps
MOST_SECONDS = 1_000_000
SMALL_FILE, SMALL_FILE_MEMORY = 10 << 20, 768 << 20  # bytes of a file, and of what reading it may take
BESIDE = 256 << 20  # bytes of that for what comes after reading, when decoders take nothing any more
PAUSING = 4  # frames made of one picture, beyond which its pauses are spoken of
FRAMES_RATIO = 250  # bytes of frames to a byte of a larger file: a film at 720x720 in 1.2 Mbit/s


@dataclass(frozen=True, eq=False)
class Video:
    """frames: uint8 [T, H, W, 3]. fps: exact. notes: what reading changed (resampled, cropped, tone-mapped), in words.

    sound: as long as the frames, or None: it was not asked for, or there is none.
    """

    frames: Tensor
    fps: Fraction
    notes: tuple[str, ...] = ()
    sound: Sound | None = None


def read_video(
    path: str | Path,
    *,
    fps: float | str | Fraction = 24,
    max_frames: int | None = None,
    size: tuple[int, int] | None = None,
    policy: str = "crop",
    start: float | Fraction = 0,
    seconds: float | Fraction | None = None,
    sound: bool = False,
    on_count: OnCount | None = None,
) -> Video:
    """The picture track of any file PyAV reads, upright, with square pixels, resampled to `fps` by timestamps; animated
    WebP too. HDR is tone-mapped to SDR.

    start, seconds: the part that is read; None: to the end. max_frames: stop there. No more is decoded than that, from
    the last key frame before it on.
    size, policy: fit every frame to (width, height) while reading (see `fit`), so that a large film never lies in
    memory at its own size. sound: read the sound track too; one that cannot be read is a note.
    on_count: told after every picture how many were decoded; what it raises stops the reading.
    Transparent pixels show white. Raises `MagiError` for a file that is missing, damaged, or has no picture track, and
    for more frames than `MAX_FRAMES` or than memory is meant for (`_memory_for`): few bytes can claim many hours.
    """
    rate = exact_fps(fps)
    if max_frames is not None and max_frames < 1:
        raise MagiError(f"max_frames must be at least 1: {max_frames}")
    most, begins = _frames_of(rate, max_frames, seconds), _seconds(start, "start")
    source = FrameSource(path, start=begins, on_count=on_count)
    frames, note = _fitted(source, rate, most, size, policy, BYTES_PER_SECOND if sound else 0)
    if not frames:
        raise MagiError(
            f"{source.path} ends before {float(begins):.6g} seconds: begin earlier"
            if source.count and begins
            else f"{source.path} has a picture track, but no frame in it can be decoded: the file is damaged"
        )
    notes = reading_notes(source, rate, len(frames), note)
    heard = None
    if sound:
        lasts = len(frames) / rate
        heard, silent = sound_of(source.path, begins, lasts)
        notes += silent
    return Video(_stacked(frames), rate, tuple(notes), heard)


def _seconds(value: float | Fraction, name: str) -> Fraction:
    try:
        seconds = Fraction(value)
    except (ValueError, TypeError, OverflowError):
        seconds = Fraction(-1)
    if not 0 <= seconds <= MOST_SECONDS:
        raise MagiError(f"{name} must be a number of seconds from 0 to {MOST_SECONDS:,}: {echo(value)}")
    return seconds


def _frames_of(rate: Fraction, max_frames: int | None, seconds: float | Fraction | None) -> int | None:
    """How many frames are asked for; None: all."""
    asked = [] if max_frames is None else [max_frames]
    if seconds is not None:
        asked.append(max(round(_seconds(seconds, "seconds") * rate), 1))
    return min(asked, default=None)


def _fitted(
    source: FrameSource, rate: Fraction, most: int | None, size: tuple[int, int] | None, policy: str, beside: int
) -> tuple[list[Tensor], str]:
    """Frames at `rate` and size, and what fitting did. beside: bytes that a second takes apart from its frames."""
    frames: list[Tensor] = []
    note, latest, pixels = "", None, None
    for picture in resample(source, rate):
        if picture is not latest or pixels is None:
            latest, pixels = picture, picture()
            if size is not None:
                fitted, note = fit(pixels[None], *size, policy)
                pixels = fitted[0]
        if frames and pixels.shape != frames[0].shape:
            raise MagiError(
                f"the picture size changes inside {source.path}: convert it to one size, or give a size to fit to"
            )
        frames.append(pixels)
        if len(frames) == most:
            break
        if len(frames) > MAX_FRAMES:
            raise _too_long(source, len(frames), rate)
        check_room(source, len(frames), rate, pixels.nbytes + beside / float(rate))
    return frames, note


def reading_notes(source: FrameSource, rate: Fraction, frames: int, fitted: str = "") -> list[str]:
    """What reading `source` at `rate` changed, in words. fitted: what fitting did."""
    notes = [fitted] if fitted else []
    if source.rate and source.rate != rate:
        notes.insert(0, f"resampled from {_number(source.rate)} to {_number(rate)} frames per second")
    if source.light is not None:
        notes.append(note_on(source.light))
    stretched = rate / source.rate if source.rate else Fraction(1)
    if frames > PAUSING * source.count * max(Fraction(1), stretched):
        notes.append(f"pictures stay on for long: {source.count} of them make {frames} frames")
    return notes


def sound_of(path: Path, start: Fraction, seconds: Fraction) -> tuple[Sound | None, list[str]]:
    """The sound of a video, and a note where it has one that cannot be read: its pictures matter more."""
    if is_webp(path):
        return None, []
    try:
        return read_sound(path, start=start, seconds=seconds), []
    except MagiError as error:
        return None, [f"its sound is left out: {error}"]


def _memory_for(path: Path) -> int:
    """Bytes that reading a file may take: what files of this size hold at the lowest rates in use."""
    return SMALL_FILE_MEMORY + FRAMES_RATIO * max(0, path.stat().st_size - SMALL_FILE)


def check_room(source: FrameSource, frames: int, rate: Fraction, each: float) -> None:
    """Raise `MagiError` where `frames` of `each` so many bytes are more than a file of its size may become."""
    if frames * each > _memory_for(source.path) - max(source.held, BESIDE):
        raise _too_long(source, frames, rate)


def check_pauses(source: FrameSource, frames: int, rate: Fraction) -> None:
    """Raise `MagiError` where a few pictures stay on for hours: all of it would be encoded."""
    if frames > MAX_FRAMES and frames > PAUSING * source.count:
        raise _too_long(source, frames, rate)


def _too_long(source: FrameSource, frames: int, rate: Fraction) -> MagiError:
    still = " In it, single pictures stay on for very long." if frames > PAUSING * source.count else ""
    return MagiError(
        f"{source.path} is too long: its first {source.count} pictures alone make {frames:,} frames, "
        f"{float(frames / rate):.0f} seconds.{still} Cut it to what the new video should go on from; the last seconds "
        "matter most."
    )


def _stacked(frames: list[Tensor]) -> Tensor:
    """[T, H, W, 3] of frames, each let go as soon as it is copied."""
    video = frames[0].new_empty(len(frames), *frames[0].shape)
    for index in range(len(frames)):
        video[index] = frames[index]
        frames[index] = frames[0]
    return video


class VideoWriter:
    """Writes frames to an H.264 mp4 (yuv420p, bt709, limited range, tagged) as they come; use as a context manager.

    The file appears under its name when it is complete. When the body raises, nothing is left behind and a file that
    had the name before stays; to keep what is done, see `magi_core.video.recording`. path: or the `Claim` on it.
    metadata: tags of any name; values that are not strings are stored as JSON. sound: heard from the first frame on,
    silence after its end. quick: encoded in a quarter of the time, a little worse, for previews. Raises `MagiError`
    before writing for a rate or name that cannot work, and for a name that another run writes to.
    """

    def __init__(
        self,
        path: str | Path | Claim,
        fps: float | str | Fraction,
        *,
        metadata: Mapping[str, Any] | None = None,
        sound: SoundSource | None = None,
        quick: bool = False,
    ) -> None:
        self.path = path.path if isinstance(path, Claim) else Path(path)
        self.fps, self.frames = exact_fps(fps), 0
        check_output(self.path, ".mp4", "videos")
        self._tags, self._quick = tags_of(metadata), quick
        self._sound = None if sound is None else SoundTrack(sound)
        self._encoder: Mp4Encoder | None = None
        self._shape: tuple[int, ...] = ()
        self._file: Replacement | None = None
        self._claim = Claim(path, "the video")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._encoder is not None:
                self._encoder.abandon()
            if self._file is not None:
                self._file.drop()
            self._claim.release()

    def write(self, block: Tensor) -> None:
        """Append frames uint8 [n, H, W, 3]. The first block decides the size; both sides must be even."""
        check_frames(block)
        if not len(block):
            return
        if self._file is None or self._encoder is None:
            self._file, self._encoder = self._open(*block.shape[1:3])
        elif tuple(block.shape[1:3]) != self._shape:
            raise MagiError(f"all frames of a video must have one size: {block.shape[2]}x{block.shape[1]} after "
                            f"{self._shape[1]}x{self._shape[0]}")  # fmt: skip
        with self._file.guarded():
            for pixels in block.cpu().numpy():
                self._encoder.write(pixels)
                self.frames += 1

    def _finish(self) -> None:
        if self._file is None or self._encoder is None:
            raise MagiError(f"there are no frames to write to {self.path}")
        with self._file.guarded():
            self._encoder.finish()
        self._file.keep()

    def _open(self, height: int, width: int) -> tuple[Replacement, Mp4Encoder]:
        check_even(width, height)
        self._shape = (height, width)
        file = Replacement(self.path, "the video", errors=(av.error.FFmpegError,))
        try:
            with file.guarded():
                return file, Mp4Encoder(
                    str(file.part),
                    width=width,
                    height=height,
                    fps=self.fps,
                    tags=self._tags,
                    movflags="faststart",
                    sound=self._sound,
                    quick=self._quick,
                )
        except BaseException:
            file.drop()
            raise


def write_video(
    path: str | Path | Claim,
    blocks: Iterable[Tensor],
    fps: float | str | Fraction,
    *,
    metadata: Mapping[str, Any] | None = None,
    sound: SoundSource | None = None,
    quick: bool = False,
) -> int:
    """Write blocks of frames uint8 [n, H, W, 3] with a `VideoWriter`; returns the number of frames."""
    with VideoWriter(path, fps, metadata=metadata, sound=sound, quick=quick) as writer:
        for block in blocks:
            writer.write(block)
    return writer.frames


def _number(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")
