"""Frames out of a video file: decoded, turned upright, converted to RGB, and resampled by their timestamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.video.images import BACKGROUND

SHOWN_AT = Fraction(45, 100)  # a frame is sampled this far into its time; see `resample`
UNSPECIFIED = 2  # H.273 code of an untagged colour matrix
ATTACHED_PICTURE = 0x400  # FFmpeg's disposition flag of cover art
# Accurate rounding and full chroma keep flat primaries within one level; older PyAV cannot combine flags.
SCALING = Interpolation.BICUBIC
if hasattr(Interpolation, "ACCURATE_RND"):
    SCALING |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


class FrameSource:
    """Decoded frames of a file's picture track as (start, end, uint8 [H, W, 3]), in seconds from the first frame.

    rate: frames per second as far as the file says, set while reading.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rate: Fraction | None = None

    def __iter__(self) -> Iterator[tuple[Fraction, Fraction, Tensor]]:
        count = 0
        try:
            with av.open(str(self.path)) as container:
                stream = _picture_track(container)
                if stream is None:
                    raise MagiError(f"{self.path} has no picture track: give a video")
                stream.thread_type = "AUTO"
                self.rate = stream.average_rate or stream.guessed_rate
                lasts = 1 / (self.rate or Fraction(24))
                first: Fraction | None = None
                start: Fraction | None = None
                end = Fraction(0)
                for frame in container.decode(stream):
                    count += 1
                    before, start = start, end
                    if frame.pts is not None:
                        time = frame.pts * Fraction(frame.time_base)
                        first = time if first is None else first
                        start = time - first
                    if before is not None and start > before:
                        lasts = start - before  # what a frame of unknown duration is given: that of the one before
                    duration = getattr(frame, "duration", 0)
                    end = start + (duration * Fraction(frame.time_base) if duration else lasts)
                    yield start, end, _upright_rgb(frame, stream)
        except (av.error.FFmpegError, OSError) as error:
            where = f"after {count} frames" if count else "at its start"
            raise MagiError(
                f"{self.path} cannot be read as a video ({where}: {error}): the file is damaged, incomplete or no video"
            ) from error


def _picture_track(container: Any) -> Any:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        flags = getattr(stream, "disposition", 0)  # a number or an enum, by PyAV's version
        if not (getattr(flags, "value", flags) or 0) & ATTACHED_PICTURE:
            return stream
    return None


def resample(timed: Iterable[tuple[Fraction, Fraction, Tensor]], fps: Fraction) -> Iterator[Tensor]:
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


def _upright_rgb(frame: Any, stream: Any) -> Tensor:
    """uint8 [H, W, 3] with square pixels, turned and mirrored as the display matrix says, transparency on white."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    alpha = frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)
    target = "rgba" if alpha else "rgb24"
    space = None  # as the frame says; where it does not, by size, as players do
    if frame.colorspace == UNSPECIFIED and "yuv" in frame.format.name:
        space = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
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
    return torch.from_numpy(np.ascontiguousarray(_turn(rgb, frame)))


def _turn(pixels: np.ndarray, frame: Any) -> np.ndarray:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32)
    # Display x = a x + c y, display y = b x + d y: the four quarter turns and their mirror images.
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
