"""Video files in and out through PyAV, one frame at a time: memory does not grow with length when writing.

Still pictures and fitting to a size live in `images`; they can be imported from here as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.frame_source import SCALING, SHOWN_AT, FrameSource, resample
from magi_core.images import FIT_POLICIES, as_frames, fit, read_image
from magi_core.output_path import check_output

__all__ = [
    "FIT_POLICIES",
    "SHOWN_AT",
    "Video",
    "VideoWriter",
    "as_frames",
    "exact_fps",
    "fit",
    "h264_encoder",
    "read_image",
    "read_video",
    "write_video",
]

NTSC = tuple(Fraction(base * 1000, 1001) for base in (24, 30, 48, 60, 120))
METADATA_KEYS = ("title", "artist", "album", "comment", "composer", "copyright", "date", "description", "genre")
ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "h264_nvenc", "h264")
BT709 = 1  # H.273 code, the same for matrix, primaries and transfer
MIN_FPS, MAX_FPS = 0.1, 1000


@dataclass(frozen=True, eq=False)
class Video:
    """frames: uint8 [T, H, W, 3]. fps: exact. notes: what reading changed (resampled, cropped), in words."""

    frames: Tensor
    fps: Fraction
    notes: tuple[str, ...] = ()


def exact_fps(fps: float | str | Fraction) -> Fraction:
    """The rate as a fraction; 23.976, 29.97, 59.94 and the like mean their exact NTSC rates (24000/1001, ...)."""
    try:
        rate = Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise MagiError(f"frames per second must be a number such as 24, 23.976 or 24000/1001: {fps!r}") from None
    if not MIN_FPS <= rate <= MAX_FPS:
        raise MagiError(f"frames per second must be between {MIN_FPS} and {MAX_FPS}: {fps}")
    near = [ntsc for ntsc in NTSC if abs(rate - ntsc) < Fraction(5, 1000)]
    return near[0] if near else rate.limit_denominator(1001)


def read_video(
    path: str | Path,
    *,
    fps: float | str | Fraction = 24,
    max_frames: int | None = None,
    size: tuple[int, int] | None = None,
    policy: str = "crop",
) -> Video:
    """The picture track of any file PyAV reads, upright, with square pixels, resampled to `fps` by timestamps.

    max_frames: stop there. size, policy: fit every frame to (width, height) while reading (see `fit`), so that a
    large film never lies in memory at its own size. Sound is ignored; transparent pixels show white.
    Raises `MagiError` for a file that is missing, damaged, or has no picture track.
    """
    rate, path = exact_fps(fps), Path(path)
    if not path.is_file():
        raise MagiError(f"there is no video at {path}: check the path")
    if max_frames is not None and max_frames < 1:
        raise MagiError(f"max_frames must be at least 1: {max_frames}")
    source = FrameSource(path)
    frames: list[Tensor] = []
    note, latest, latest_fitted = "", None, None
    for picture in resample(source, rate):
        if picture is not latest:
            latest, latest_fitted = picture, picture
            if size is not None:
                fitted, note = fit(picture[None], *size, policy)
                latest_fitted = fitted[0]
        if frames and latest_fitted.shape != frames[0].shape:
            raise MagiError(f"the picture size changes inside {path}: convert it to one size, or give a size to fit to")
        frames.append(latest_fitted)
        if len(frames) == max_frames:
            break
    if not frames:
        raise MagiError(f"{path} has a picture track, but no frame in it can be decoded: the file is damaged")
    notes = [note] if note else []
    if source.rate and source.rate != rate:
        notes.insert(0, f"resampled from {_number(source.rate)} to {_number(rate)} frames per second")
    return Video(torch.stack(frames), rate, tuple(notes))


class VideoWriter:
    """Writes frames to an H.264 mp4 (yuv420p, bt709, limited range, tagged) as they come; use as a context manager.

    The file appears under its name when it is complete. When the body raises, nothing is left behind and a file that
    had the name before stays. metadata: title, comment and so on (`METADATA_KEYS`); values that are not strings are
    stored as JSON. Raises `MagiError` before writing for a rate, name or metadata that cannot work.
    """

    def __init__(
        self, path: str | Path, fps: float | str | Fraction, *, metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.fps, self.frames = Path(path), exact_fps(fps), 0
        check_output(self.path, ".mp4", "videos")
        unknown = sorted(set(metadata or {}) - set(METADATA_KEYS))
        if unknown:
            raise MagiError(f"an mp4 cannot keep {', '.join(unknown)}: use {', '.join(METADATA_KEYS)}")
        self._metadata = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in (metadata or {}).items()
        }
        self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, int] = (0, 0)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write(self, block: Tensor) -> None:
        """Append frames uint8 [n, H, W, 3]. The first block decides the size; both sides must be even."""
        if block.dtype != torch.uint8 or block.ndim != 4 or block.shape[-1] != 3:
            raise MagiError(f"frames to write must be uint8 [n, height, width, 3]: {block.dtype} {list(block.shape)}")
        if not len(block):
            return
        if self._container is None:
            self._open(*block.shape[1:3])
        elif tuple(block.shape[1:3]) != self._shape:
            raise MagiError(f"all frames of a video must have one size: {block.shape[2]}x{block.shape[1]} after "
                            f"{self._shape[1]}x{self._shape[0]}")  # fmt: skip
        for pixels in block.cpu().numpy():
            self._stream_frame(pixels)

    def close(self) -> None:
        """Finish the file and give it its name. No frames at all is a `MagiError`."""
        if self._container is None:
            raise MagiError(f"there are no frames to write to {self.path}")
        with self._guarded():
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.replace(self._partial, self.path)
        self._container = self._stream = None

    def discard(self) -> None:
        """Drop what was written; a file that had the name before stays."""
        container, self._container, self._stream = self._container, None, None
        try:
            if container is not None:
                container.close()
        except (av.error.FFmpegError, OSError):
            pass  # a full disk: closing fails as well, and the file goes anyway
        finally:
            self._partial.unlink(missing_ok=True)

    def _open(self, height: int, width: int) -> None:
        if width % 2 or height % 2:
            raise MagiError(f"H.264 video needs even sides: {width}x{height} -> use {width // 2 * 2}x{height // 2 * 2}")
        encoder = h264_encoder()
        if encoder is None:
            raise MagiError("this PyAV has no H.264 encoder: install the PyAV wheel from PyPI (pip install av)")
        with self._guarded():
            self._container = av.open(
                str(self._partial), "w", format="mp4", options={"movflags": "+faststart+write_colr"}
            )
            self._container.metadata.update(self._metadata)
            quality = {"crf": "16", "preset": "medium"} if encoder == "libx264" else {}
            stream = self._stream = self._container.add_stream(encoder, rate=self.fps, options=quality)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context = stream.codec_context
            stream.time_base = context.time_base = 1 / self.fps
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = ColorRange.MPEG
            if encoder != "libx264":  # no constant quality there: about 0.3 bit per pixel
                context.bit_rate = max(1_000_000, int(width * height * self.fps * Fraction(3, 10)))
        self._shape = (height, width)

    def _stream_frame(self, pixels: np.ndarray) -> None:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=SCALING,
        )
        frame.pts, frame.time_base = self.frames, 1 / self.fps
        with self._guarded():
            self._container.mux(self._stream.encode(frame))
        self.frames += 1

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.discard()
            if isinstance(error, av.error.FFmpegError | OSError):
                raise MagiError(
                    f"cannot write {self.path} ({error}): check the folder and the free disk space"
                ) from error
            raise


def write_video(
    path: str | Path,
    blocks: Iterable[Tensor],
    fps: float | str | Fraction,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Write blocks of frames uint8 [n, H, W, 3] with a `VideoWriter`; returns the number of frames."""
    with VideoWriter(path, fps, metadata=metadata) as writer:
        for block in blocks:
            writer.write(block)
    return writer.frames


def h264_encoder() -> str | None:
    """Name of the H.264 encoder this PyAV has, the best first, or None."""
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except (av.error.FFmpegError, ValueError):
            continue
        return name
    return None


def _number(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")
