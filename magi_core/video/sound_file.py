"""Sound out of files and arrays: decoded with bounds, in step with the pictures, at a rate that AAC has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.frame_source import CONTAINERS, PEEK_SAMPLES, open_media, picture_track, seek
from magi_core.video.sound import RATES, Sound, sixteen_bits

# Containers of sound alone by FFmpeg's names; what opens other files must never be among them.
SOUND_CONTAINERS = (*CONTAINERS, "wav", "w64", "mp3", "flac", "aac", "aiff", "caf", "ac3", "eac3")
CODECS = (
    *("aac", "mp3", "mp3float", "mp2", "mp2float", "mp1float", "ac3", "eac3", "opus", "libopus", "vorbis", "flac"),
    *("alac", "wmav1", "wmav2", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "gsm", "amrnb", "amrwb", "libspeex"),
)  # and "pcm_...": codecs that are in wide use, whose decoders are looked at
SLOWEST, FASTEST = 4000, 768_000  # samples per second of a sound that is read
MOST_CHANNELS = 64
BLOCK = 1 << 18  # samples that are resampled at a time
DRIFT = Fraction(1, 25)  # seconds that the times of packets may wander before they are believed; 1 ms is usual
TOLD_AT = 256  # packets

OnSeconds = Callable[[float], None]


def read_sound(
    path: str | Path,
    *,
    seconds: Fraction,
    start: Fraction = Fraction(0),
    what: str = "sound",
    on_seconds: OnSeconds | None = None,
) -> Sound | None:
    """`seconds` of the first sound track, from `start` on; None where the file has none.

    Time runs from the file's first picture, or from the first sample where there are no pictures; what is missing is
    silence. No more is decoded than asked for. on_seconds: told now and then how far reading is; may raise to stop it.
    Raises `MagiError` for a file that is missing, damaged, or of a kind that is not read.
    """
    sound: Sound | None = None
    for block in sound_blocks(path, seconds=seconds, start=start, what=what, on_seconds=on_seconds):
        if sound is None:
            sound = Sound(torch.zeros(len(block.samples), block.total, dtype=torch.int16), block.rate)
        _put(sound.kept, block.position, block.samples)
    return sound


@dataclass(frozen=True, eq=False)
class Block:
    """Part of a sound that is read. samples: float32 [channels, n]. position: of the first of them in what was asked
    for, which is `total` long; a few may lie outside."""

    samples: Tensor
    position: int
    rate: int
    total: int


def sound_blocks(
    path: str | Path,
    *,
    seconds: Fraction,
    start: Fraction = Fraction(0),
    what: str = "sound",
    on_seconds: OnSeconds | None = None,
) -> Iterator[Block]:
    """The parts that `read_sound` puts together, as the file has them, all of one rate; none where it has no sound.

    Between two of them may lie silence, and times that step back make them overlap. Raises as `read_sound`.
    """
    with open_media(path, what, SOUND_CONTAINERS) as container:
        stream = _sound_track(container)
        if stream is None:
            return
        first = _first_time(container, stream)
        try:
            yield from _placed(container, stream, first + start, seconds, on_seconds)
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, MagiError):
                raise
            raise MagiError(f"the sound of {path} cannot be read ({echo(error)}): the file is damaged") from error


def sound_seconds(path: str | Path, what: str = "sound") -> Fraction | None:
    """How long the file at `path` says that it lasts; None where it has no sound that is read, or does not say it.

    Raises `MagiError` as `read_sound` does.
    """
    with open_media(path, what, SOUND_CONTAINERS) as container:
        stream = _sound_track(container)
        if stream is None:
            return None
        if stream.duration is not None and stream.time_base is not None:
            return stream.duration * Fraction(stream.time_base)
        return None if container.duration is None else Fraction(container.duration, av.time_base)


def as_sound(samples: Any, rate: Any, name: str = "sound") -> Sound:
    """A `Sound` of float samples [channels, n] at any usual rate. Several channels become two.

    name: what the caller calls it, for messages. Raises `MagiError` for what is no sound, is not finite, or is far
    louder than possible.
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not SLOWEST <= rate <= FASTEST:
        raise MagiError(f"the {name} has {echo(rate)} samples per second; {SLOWEST:,} to {FASTEST:,} are possible")
    if not isinstance(samples, Tensor) or samples.ndim != 2 or not 1 <= samples.shape[0] <= MOST_CHANNELS:
        shape = list(samples.shape) if isinstance(samples, Tensor) else echo(samples)
        raise MagiError(f"the {name} is {shape}; it must be samples [channels, n] of 1 to {MOST_CHANNELS} channels")
    if not samples.is_floating_point():
        raise MagiError(f"the {name} has numbers of type {samples.dtype}; use floats around 0")
    samples = samples.detach().cpu().float()
    if samples.numel() and not samples.abs().max().item() <= 100:  # NaN fails too
        raise MagiError(f"the {name} has samples that are no sound: not a number, or far above 1")
    if samples.shape[0] > 2:  # the others are heard on both sides; at most as loud as left and right
        samples = (samples[:2] + samples[2:].mean(dim=0)) / 2
    if rate in RATES:
        return Sound(samples, rate)
    wanted = _usable(rate)
    layout = "mono" if len(samples) == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=wanted)
    parts = []
    for part in samples.split(BLOCK, dim=1):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part.numpy()), format="fltp", layout=layout)
        frame.sample_rate = rate
        parts += resampler.resample(frame)
    made = [torch.from_numpy(frame.to_ndarray()) for frame in (*parts, *resampler.resample(None))]
    return Sound(torch.cat(made, dim=1), wanted)


def _sound_track(container: Any) -> Any:
    """The first sound track whose decoder this FFmpeg has and that is read here, or None."""
    for stream in container.streams.audio:
        context = stream.codec_context
        name = "" if context is None else context.codec.name
        if name in CODECS or name.startswith("pcm_"):
            return stream
    return None


def _first_time(container: Any, stream: Any) -> Fraction:
    """When the first picture is shown, or where there are none the first sample is heard, in the file's time."""
    pictures = picture_track(container)
    counted = stream if pictures is None else pictures
    return Fraction(0) if counted.start_time is None else counted.start_time * Fraction(counted.time_base)


def _placed(
    container: Any, stream: Any, start: Fraction, seconds: Fraction, on_seconds: OnSeconds | None
) -> Iterator[Block]:
    """`seconds` of a track from `start` on, in the file's time."""
    if start > 0:
        seek(container, stream, start)
    resample, position = None, None
    decoded = rate = total = 0
    for frame in _frames(container, stream, on_seconds):
        if resample is None:
            rate = _usable(frame.sample_rate)
            total, resample = round(seconds * rate), _Resampler(min(len(frame.layout.channels), 2), rate)
        begins = None if frame.pts is None else (frame.pts * Fraction(frame.time_base) - start) * rate
        if position is None or (begins is not None and abs(begins - position) > DRIFT * rate):
            position = 0 if begins is None else round(begins)
        samples = resample(frame)
        yield Block(samples, position, rate, total)
        position += samples.shape[1]
        decoded += samples.shape[1]
        if position >= total or decoded > 2 * total + 60 * rate:  # a file may say that all of it is at one time
            return
    if resample is None:
        raise MagiError("no sound in its sound track can be decoded: the file is damaged")


def _frames(container: Any, stream: Any, on_seconds: OnSeconds | None) -> Iterator[Any]:
    """Decoded frames that sounds are made of; damaged packets are left out, as players do."""
    context = stream.codec_context
    context.options.update({"max_samples": str(PEEK_SAMPLES)})
    for number, packet in enumerate(container.demux(stream)):
        if on_seconds is not None and number % TOLD_AT == 0:
            on_seconds(float((packet.pts or 0) * Fraction(packet.time_base or 1)))
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            if not SLOWEST <= frame.sample_rate <= FASTEST or len(frame.layout.channels) > MOST_CHANNELS:
                raise MagiError(
                    f"its sound has {frame.sample_rate:,} samples per second in {len(frame.layout.channels)} channels; "
                    f"{SLOWEST:,} to {FASTEST:,} in up to {MOST_CHANNELS} are possible"
                )
            yield frame


class _Resampler:
    """Frames of any layout and rate, which may change in between, as samples [channels, n]."""

    def __init__(self, channels: int, rate: int) -> None:
        self.layout, self.rate = "mono" if channels == 1 else "stereo", rate
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def __call__(self, frame: Any) -> Tensor:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._kind = kind
            self._resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        frame.pts = None  # else it fills gaps by times of its own
        parts = [torch.from_numpy(made.to_ndarray()) for made in self._resampler.resample(frame)]
        samples = torch.cat(parts, dim=1) if parts else torch.zeros(1 if self.layout == "mono" else 2, 0)
        return samples.nan_to_num_(0, 1, -1)  # files of floats may hold anything


def _put(samples: Tensor, position: int, block: Tensor) -> None:
    """Copy the part of `block`, float32, that lies in `samples`, int16, when it begins at `position`."""
    first, stop = max(position, 0), min(position + block.shape[1], samples.shape[1])
    if first < stop:
        samples[:, first:stop] = sixteen_bits(block[:, first - position : stop - position])


def _usable(rate: int) -> int:
    return next((usable for usable in RATES if usable >= rate), RATES[-1])
