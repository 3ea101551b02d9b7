"""Sound as an AAC track beside pictures: one encoder over the whole video, whose packets go where their pictures go."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from magi_core.video.sound import Sound, SoundSource
from magi_core.writing.replacing import replacing

BLOCK = 1024  # samples of an AAC packet; its encoder is one packet late
BITS = 96_000  # per second and channel


class SoundTrack:
    """Packets of `sound` in order, silence after its end, from `start` seconds of the video on.

    A packet is decoded with the help of the one before it, so that the first one of all is heard before the video
    begins. later: samples added to all times, for containers that have no time before 0.
    """

    def __init__(self, sound: SoundSource, start: Fraction = Fraction(0), *, later: int = 0) -> None:
        self.sound, self._later = sound, later
        context: Any = av.CodecContext.create("aac", "w")
        _set_up(context, sound)
        self._context = context
        begins = -(-int(start * sound.rate) // BLOCK) * BLOCK  # where a track that ends at `start` has no packet yet
        self._first = begins or -BLOCK
        self._begun = self._fed = max(begins - BLOCK, 0)
        self._waiting: list[Any] = []

    def stream_in(self, container: Any) -> Any:
        """A stream for these packets in a container that is being written."""
        stream = container.add_stream("aac", rate=self.sound.rate)
        _set_up(stream.codec_context, self.sound)
        return stream

    def until(self, seconds: Fraction) -> Iterator[Any]:
        """Packets that begin before `seconds` of the video and were not given before; times in samples."""
        stop = seconds * self.sound.rate + self._later
        while not self._waiting or self._waiting[-1].pts < stop:
            self._encode_block()
        while self._waiting and self._waiting[0].pts < stop:
            yield self._waiting.pop(0)

    def _encode_block(self) -> None:
        samples = self.sound.between(self._fed, self._fed + BLOCK).numpy()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=_layout(self.sound))
        frame.sample_rate, frame.pts, frame.time_base = self.sound.rate, self._fed - self._begun, self._tick
        self._fed += BLOCK
        for packet in self._context.encode(frame):
            begins = packet.pts + self._begun
            packet.pts = packet.dts = begins + self._later
            packet.time_base = self._tick
            if begins >= self._first:
                self._waiting.append(packet)

    @property
    def _tick(self) -> Fraction:
        return Fraction(1, self.sound.rate)


def write_sound(path: Path, sound: Sound) -> None:
    """An m4a of `sound`; replaced whole or not at all. Raises `MagiError` where it cannot be written."""
    with (
        replacing(path, "the sound", errors=(av.error.FFmpegError,)) as part,
        av.open(str(part), "w", format="ipod", options={"movflags": "faststart"}) as container,
    ):
        track = SoundTrack(sound)
        stream = track.stream_in(container)
        for packet in track.until(sound.seconds):
            packet.stream = stream
            container.mux(packet)


def _set_up(context: Any, sound: SoundSource) -> None:
    context.sample_rate, context.time_base = sound.rate, Fraction(1, sound.rate)
    context.layout, context.format = _layout(sound), "fltp"
    context.bit_rate = BITS * sound.channels


def _layout(sound: SoundSource) -> str:
    return "mono" if sound.channels == 1 else "stereo"
