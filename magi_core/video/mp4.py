"""H.264 in an mp4: the one set-up of encoder and container, for files written whole and for recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.frame_source import SCALING
from magi_core.video.sound_track import SoundTrack

ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "h264_nvenc", "h264")
BT709 = 1  # H.273 code, the same for matrix, primaries and transfer
MOVFLAGS = "use_metadata_tags+write_colr"  # tags of any name, as ComfyUI reads them; the colours said in the container


class Mp4Encoder:
    """Encodes frames to H.264 (yuv420p, bt709, limited range, tagged) into an mp4, at an exact constant rate.

    target: a file name, or an object with `write` and `seek`. tags: see `tags_of`.
    first_frame: number of the first frame. movflags, options: of the container, beside `MOVFLAGS`.
    reorder: False makes a stream whose frames are stored in the order of display.
    quick: encode in a quarter of the time, a little worse at the same size.
    sound: what is heard with the frames, from `first_frame` on; None: nothing, and no track for it.
    """

    def __init__(
        self,
        target: str | BinaryIO,
        *,
        width: int,
        height: int,
        fps: Fraction,
        tags: Mapping[str, str],
        first_frame: int = 0,
        movflags: str,
        options: Mapping[str, str] | None = None,
        reorder: bool = True,
        quick: bool = False,
        sound: SoundTrack | None = None,
    ) -> None:
        encoder = checked_encoder()
        self.fps, self.frame = fps, first_frame
        self._container = av.open(
            target, "w", format="mp4", options={"movflags": f"{MOVFLAGS}+{movflags}", **(options or {})}
        )
        self._container.metadata.update(tags)
        quality = {"crf": "16", "preset": "superfast" if quick else "medium"} | ({} if reorder else {"bf": "0"})
        stream = self._container.add_stream(encoder, rate=fps, options=quality if encoder == "libx264" else {})
        assert isinstance(stream, VideoStream)
        self._stream = stream
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = 1 / fps
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG
        if encoder != "libx264":  # no constant quality there: about 0.3 bit per pixel
            context.bit_rate = max(1_000_000, int(width * height * fps * Fraction(3, 10)))
            context.max_b_frames = context.max_b_frames if reorder else 0
        self._sound, self._sound_stream = sound, None if sound is None else sound.stream_in(self._container)

    def write(self, pixels: np.ndarray) -> None:
        """Encode one frame, uint8 [H, W, 3]."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=SCALING,
        )
        frame.pts, frame.time_base = self.frame, 1 / self.fps
        self._container.mux(self._stream.encode(frame))
        self.frame += 1
        self._write_sound()

    def finish(self) -> None:
        """Encode what the encoder still holds, and complete the container."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _write_sound(self) -> None:
        """What is heard with the frames so far."""
        if self._sound is not None:
            for packet in self._sound.until(self.frame / self.fps):
                packet.stream = self._sound_stream
                self._container.mux_one(packet)

    def abandon(self) -> None:
        """Close what can be closed; a full disk makes closing fail as well, which changes nothing."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()


def h264_encoder() -> str | None:
    """Name of the H.264 encoder this PyAV has, the best first, or None."""
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except (av.error.FFmpegError, ValueError):
            continue
        return name
    return None


def checked_encoder() -> str:
    """`h264_encoder`, or `MagiError`."""
    encoder = h264_encoder()
    if encoder is None:
        raise MagiError("this PyAV has no H.264 encoder: install the PyAV wheel from PyPI (pip install av)")
    return encoder


def tags_of(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Tags of a file: strings as they are, other values as JSON; what UTF-8 or a tag cannot hold becomes "?".

    Raises `MagiError` for what JSON cannot say.
    """
    tags = {}
    for name, value in (metadata or {}).items():
        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise MagiError(
                f"the metadata {echo(name)} cannot be kept in the video ({echo(error)}): give text or JSON"
            ) from None
        tags[name] = text.encode("utf-8", "replace").decode().replace("\0", "?")
    return tags


def check_frames(block: Tensor) -> None:
    """Raise `MagiError` unless `block` is uint8 [n, height, width, 3]."""
    if block.dtype != torch.uint8 or block.ndim != 4 or block.shape[-1] != 3:
        raise MagiError(f"frames to write must be uint8 [n, height, width, 3]: {block.dtype} {list(block.shape)}")


def check_even(width: int, height: int) -> None:
    """Raise `MagiError` for sides that yuv420p cannot have."""
    if width < 2 or height < 2 or width % 2 or height % 2:
        near_width, near_height = (max(2, side // 2 * 2) for side in (width, height))
        raise MagiError(f"H.264 video needs even sides: {width}x{height} -> use {near_width}x{near_height}")
