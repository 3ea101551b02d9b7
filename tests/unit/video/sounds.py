"""Videos with a flash and a beep at every second, and where both are found again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

RATE = 48_000


def beeps(seconds: int, rate: int = RATE, channels: int = 2) -> torch.Tensor:
    """A tone for the first tenth of every second, float32 [channels, n]."""
    time = torch.arange(seconds * rate) / rate
    return (0.5 * torch.sin(2 * torch.pi * 1000 * time) * (time % 1 < 0.1)).expand(channels, -1).contiguous()


def flashing(path: Path, seconds: int, *, sound: str, rate: int = RATE, late: Fraction = Fraction(0)) -> Path:
    """A video of 64x64 at 24 fps. sound: its codec. late: seconds by which the sound is behind."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "12"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        heard = container.add_stream(sound, rate=rate)
        for index in range(24 * seconds):
            pixels = np.full((64, 64, 3), 250 if index % 24 < 2 else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        add_beeps(container, heard, beeps(seconds, rate), rate, late)
    return path


def add_beeps(container, stream, samples: torch.Tensor, rate: int, late: Fraction = Fraction(0)) -> None:
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=rate)
    for first in range(0, samples.shape[1], rate):
        part = np.ascontiguousarray(samples[:, first : first + rate].numpy())
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, first + round(late * rate), Fraction(1, rate)
        for made in resampler.resample(frame):
            container.mux(stream.encode(made))
    container.mux(stream.encode(None))


def sound_file(path: Path, codec: str, seconds: int, rate: int = RATE) -> Path:
    with av.open(str(path), "w") as container:
        add_beeps(container, container.add_stream(codec, rate=rate), beeps(seconds, rate), rate)
    return path


def starts(samples: torch.Tensor, rate: int = RATE) -> list[float]:
    """Seconds at which beeps begin, to a hundredth."""
    loud = samples.abs().amax(dim=0) > 0.1
    found = []
    for index in loud.nonzero()[:, 0].tolist():
        if not found or index - found[-1][1] > rate // 10:
            found.append([index, index])
        found[-1][1] = index
    return [round(first / rate, 2) for first, _ in found]


def flashes(frames: torch.Tensor, fps: float = 24) -> list[float]:
    """Seconds at which flashes begin."""
    bright = [False, *(frames.float().mean(dim=(1, 2, 3)) > 120).tolist()]
    return [index / fps for index in range(len(frames)) if bright[index + 1] and not bright[index]]
