"""Frames out of a video file: decoded, turned upright, converted to RGB, and resampled by their timestamps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import torch
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import regular_file
from magi_core.video.animated import is_webp, webp_frames
from magi_core.video.hdr import BT2020, Light, light_of, to_sdr
from magi_core.video.images import BACKGROUND

# Containers of video by FFmpeg's names. Whatever opens other files or addresses must never be among them.
CONTAINERS = ("mov", "matroska", "avi", "gif", "apng", "mpegts", "mpeg", "flv", "ogg", "asf", "mxf", "yuv4mpegpipe")
INDEXED = ("mov", "matroska")
MAX_PIXELS = 4096 * 4096  # of a frame
MAX_SIDE = 16_384
PEEK_PIXELS = 8192 * 8192  # of a frame that FFmpeg looks at to learn its size
PEEK_SAMPLES = 1 << 22  # of a packet of sound, all channels together
SMALLER = "Make the video smaller first, 1080p is plenty."
# Bytes of a decoded frame; ten bits of 4K take 25 MB. Decoders hold many where frames refer to others.
MAX_FRAME_BYTES, MAX_INTRA_BYTES = 27_000_000, 100_000_000
HELD, HELD_INTRA, THREADS = 22, 8, 4
STREAMS = 16  # tracks whose decoders are bounded while a file is looked into, before it is known which are pictures

SHOWN_AT = Fraction(45, 100)  # a frame is sampled this far into its time; see `resample`
UNSPECIFIED = 2  # H.273 code of an untagged colour matrix
ATTACHED_PICTURE = 0x400  # FFmpeg's disposition flag of cover art
# Accurate rounding and full chroma keep flat primaries within one level; older PyAV cannot combine flags.
SCALING = Interpolation.BICUBIC
if hasattr(Interpolation, "ACCURATE_RND"):
    SCALING |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


Picture = TypeVar("Picture")
OnCount = Callable[[int], None]


@dataclass(frozen=True)
class _Track:
    """What of a stream converting one of its frames needs, when the file may be closed already."""

    sample_aspect_ratio: Fraction | None


class FrameSource:
    """Pictures of a file's picture track as (start, end, picture), in seconds from its first frame.

    picture: called, it makes the frame, uint8 [H, W, 3]; those that nobody looks at cost their decoding only.
    start: leave out what is shown before. on_count: told after every picture how many were decoded; may raise to stop.
    rate: frames per second as far as the file says, set while reading. count: frames decoded so far. held: bytes that
    the decoder may take. light: what the pictures were brought to SDR from, or None.
    """

    def __init__(self, path: str | Path, *, start: Fraction = Fraction(0), on_count: OnCount | None = None) -> None:
        self.path = regular_file(path, "video")
        self.start, self.on_count = start, on_count
        self.rate: Fraction | None = None
        self.light: Light | None = None
        self.count, self.held = 0, 0

    def __iter__(self) -> Iterator[tuple[Fraction, Fraction, Callable[[], Tensor]]]:
        self.count = 0
        timed = self._animated() if is_webp(self.path) else self._decoded()
        for begins, ends, picture in timed:
            self.count += 1
            if self.on_count is not None:
                self.on_count(self.count)
            if ends > self.start:
                yield max(begins - self.start, Fraction(0)), ends - self.start, picture

    def _animated(self) -> Iterator[tuple[Fraction, Fraction, Callable[[], Tensor]]]:
        self.held, frames = webp_frames(self.path)
        end = Fraction(0)
        for lasts, pixels in frames:
            start, end = end, end + lasts
            yield start, end, partial(_same, pixels)

    def _decoded(self) -> Iterator[tuple[Fraction, Fraction, Callable[[], Tensor]]]:
        try:
            with open_video(self.path) as container:
                stream = picture_track(container)
                if stream is None:
                    raise MagiError(f"{self.path} has no picture track: give a video")
                self.held = _prepare(stream, self.path)
                self.rate = stream.average_rate or stream.guessed_rate
                lasts = 1 / (self.rate or Fraction(24))
                first = self._seek(container, stream)
                start: Fraction | None = None
                end = Fraction(0)
                for frame in container.decode(stream):
                    before, start = start, end
                    if frame.pts is not None:
                        time = frame.pts * Fraction(frame.time_base)
                        first = time if first is None else first
                        start = time - first
                    if before is not None and start > before:
                        lasts = start - before  # what a frame of unknown duration is given: that of the one before
                    duration = getattr(frame, "duration", 0)
                    end = start + (duration * Fraction(frame.time_base) if duration else lasts)
                    yield start, end, self._picture(frame, stream)
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, MagiError):
                raise
            raise self._damaged(error) from error

    def _seek(self, container: Any, stream: Any) -> Fraction | None:
        """Go to the last key frame before `start`; returns when the first picture is shown, where that is known."""
        if not self.start or stream.start_time is None:
            return None
        first = stream.start_time * Fraction(stream.time_base)
        seek(container, stream, first + self.start)
        return first

    def _picture(self, frame: Any, stream: Any) -> Callable[[], Tensor]:
        context = stream.codec_context
        light = self.light = light_of(context.color_trc, context.color_primaries)
        wide, track = context.color_primaries in (BT2020, UNSPECIFIED), _Track(stream.sample_aspect_ratio)

        def picture() -> Tensor:
            try:
                return _upright_rgb(frame, track, self.path, light, wide=wide)
            except (av.error.FFmpegError, ValueError, MemoryError) as error:
                if isinstance(error, MagiError):
                    raise
                raise self._damaged(error) from error

        return picture

    def _damaged(self, error: Exception) -> MagiError:
        where = f"after {self.count} frames" if self.count else "at its start"
        return MagiError(
            f"{self.path} cannot be read as a video ({where}: {echo(error)}): the file is damaged or incomplete"
        )


def _same(pixels: Tensor) -> Tensor:
    return pixels


def open_video(path: Path) -> Any:
    """`open_media` for files with pictures."""
    return open_media(path, "video", CONTAINERS)


def check_video(path: str | Path) -> None:
    """Raise `MagiError` where there is no video with pictures at `path`; no frame is decoded."""
    with open_video(Path(path)) as container:
        if picture_track(container) is None:
            raise MagiError(f"{path} has no pictures")


def open_media(path: str | Path, what: str, containers: Iterable[str]) -> Any:
    """The regular file at `path` as PyAV's container, if it is one of `containers` (FFmpeg's names) by its content.

    Files that name other files or addresses (playlists, lists to join, numbered pictures) are not: FFmpeg would open
    what they name. An absolute path keeps it from taking a name such as "concat:a" for an address.
    """
    path = regular_file(path, what).absolute()
    options = {"format_whitelist": ",".join(containers), "protocol_whitelist": "file"}
    kinds = "mp4, mov, mkv, webm, avi or gif" if what == "video" else "wav, flac, mp3, m4a, ogg or a video"
    try:
        limits = {"max_pixels": str(PEEK_PIXELS), "max_samples": str(PEEK_SAMPLES)}
        decoders: Any = [limits] * STREAMS  # PyAV's types say names only
        return av.open(str(path), options=options, stream_options=decoders)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MagiError(
            f"{path} cannot be read as a {what}: it is damaged, incomplete, or of a kind that is not read here. Use "
            f"{kinds}; playlists, lists of files and numbered pictures are not followed"
        ) from error


def seek(container: Any, stream: Any, seconds: Fraction) -> None:
    """Go to the last place before `seconds`, in the file's time, from which `stream` can be decoded.

    Stays at the start where the container has no index to find that place by: others land behind it at times.
    """
    if any(name in INDEXED for name in container.format.name.split(",")):
        container.seek(int(seconds / Fraction(stream.time_base)), stream=stream)


def _prepare(stream: Any, path: Path) -> int:
    """Refuse pictures that are too large before any is decoded; returns the bytes that decoding them may take."""
    if stream.codec_context is None:
        raise MagiError(f"the pictures of {path} are in a format that is not read: convert it to an H.264 mp4")
    _check_size(stream.width, stream.height, path)
    intra = stream.codec_context.codec.intra_only
    bits = stream.format.padded_bits_per_pixel if stream.format else 24
    size = stream.width * stream.height * bits // 8
    limit = MAX_INTRA_BYTES if intra else MAX_FRAME_BYTES
    if size > limit:
        raise MagiError(
            f"the pictures of {path} are too large: {stream.width} x {stream.height} at {bits} bits make "
            f"{size / 1e6:.0f} MB each, {limit / 1e6:.0f} MB are possible. {SMALLER}"
        )
    stream.codec_context.options.update({"max_pixels": str(MAX_PIXELS)})  # sizes may change inside a file
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = THREADS
    return size * (HELD_INTRA if intra else HELD)


def _check_size(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise MagiError(
            f"the pictures of {path} are too large: {width} x {height}, where {MAX_PIXELS / 1e6:.0f} million pixels "
            f"and sides of {MAX_SIDE} are possible. {SMALLER}"
        )


def picture_track(container: Any) -> Any:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        flags = getattr(stream, "disposition", 0)  # a number or an enum, by PyAV's version
        if not (getattr(flags, "value", flags) or 0) & ATTACHED_PICTURE:
            return stream
    return None


def resample(timed: Iterable[tuple[Fraction, Fraction, Picture]], fps: Fraction) -> Iterator[Picture]:
    """The picture on display at (k + 0.45) / fps for k = 0, 1, ...: right for variable rates, where pictures stay on.

    Slightly before the middle of an output frame, because integer rate ratios put source frames exactly at its start or
    its middle, where timestamps rounded to milliseconds would tip the choice back and forth.
    """
    shown, index, end = None, 0, Fraction(0)
    for start, until, picture in timed:
        while shown is not None and (index + SHOWN_AT) / fps < start:
            yield shown
            index += 1
        shown, end = picture, max(end, until)
    if shown is not None:
        for _ in range(max(round(end * fps), 1) - index):
            yield shown


def _upright_rgb(frame: Any, stream: Any, path: Path, light: Light | None = None, *, wide: bool = True) -> Tensor:
    """uint8 [H, W, 3] with square pixels, turned and mirrored as the display matrix says, transparency on white.

    light, wide: see `to_sdr`; None for pictures that are SDR already.
    """
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    _check_size(width, frame.height, path)
    alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    target = "rgba" if alpha else "rgb24" if light is None else "rgb48le"
    space = None  # as the frame says; where it does not, by size, as players do
    if frame.colorspace == UNSPECIFIED and "yuv" in frame.format.name:
        space = _usual_matrix(frame.height, light)
    rgb = frame.reformat(
        width=width,
        format=target,
        src_colorspace=space,
        dst_color_range=ColorRange.JPEG,
        interpolation=SCALING,
    ).to_ndarray()
    if alpha:
        opacity = rgb[..., 3:].astype(np.float32) / 255
        rgb = (rgb[..., :3] * opacity + np.array(BACKGROUND) * (1 - opacity)).round().astype(np.uint8)
        if light is not None:
            rgb = to_sdr(rgb.astype(np.uint16) * 257, light, wide=wide)
    elif light is not None:
        rgb = to_sdr(rgb, light, wide=wide)
    return torch.from_numpy(np.ascontiguousarray(_turn(rgb, frame)))


def _usual_matrix(height: int, light: Light | None) -> Any:
    if light is not None and hasattr(Colorspace, "BT2020"):
        return Colorspace.BT2020
    return Colorspace.ITU709 if height >= 720 else Colorspace.ITU601


def _turn(pixels: np.ndarray, frame: Any) -> np.ndarray:
    # Not `frame.side_data`: frame and container would hold each other, and pile up until the garbage collector comes.
    side_data: Any = SideDataContainer  # PyAV's types do not tell what it takes
    matrix = side_data(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    # Display x = a x + c y, display y = b x + d y: the four quarter turns and their mirror images.
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
