"""Sound as a value: samples and their rate, cut and filled up so that it stays in step with frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # what AAC has, up to what people hear
BYTES_PER_SECOND = 2 * 2 * max(RATES)  # of a sound that was read, at most
FULL = 32767  # a sample of 16 bits that means 1


class SoundSource(Protocol):
    """What sound is written from: a `Sound`, or one that is read meanwhile. rate: samples a second, of `RATES`."""

    @property
    def rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def between(self, first: int, stop: int) -> Tensor:
        """Samples, float32 [channels, stop - first]; silence where there are none."""


@dataclass(frozen=True, eq=False)
class Sound:
    """kept: [channels, n], float32 around 0 or int16, on the CPU. channels: 1 or 2. rate: samples a second, of `RATES`.

    Sounds of files and takes are kept in 16 bits, 0.7 GB an hour at most; those that come as numbers as they came. The
    first sample is heard when the first frame is shown.
    """

    kept: Tensor
    rate: int

    @property
    def samples(self) -> Tensor:
        """float32 [channels, n] around 0."""
        return floats(self.kept)

    @property
    def channels(self) -> int:
        return len(self.kept)

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.kept.shape[1], self.rate)

    def since(self, seconds: Fraction) -> Sound:
        """Without what is heard before `seconds`."""
        return Sound(self.kept[:, self._count(seconds) :], self.rate)

    def lasting(self, seconds: Fraction) -> Sound:
        """`seconds` long: cut, or with silence at the end."""
        missing = self._count(seconds) - self.kept.shape[1]
        return self if missing == 0 else Sound(F.pad(self.kept, (0, missing)), self.rate)

    def ending_at(self, seconds: Fraction) -> Sound:
        """`seconds` long, its end kept: silence in front, or cut there."""
        missing = self._count(seconds) - self.kept.shape[1]
        return self if missing == 0 else Sound(F.pad(self.kept, (missing, 0)), self.rate)

    def between(self, first: int, stop: int) -> Tensor:
        """Samples, float32 [channels, stop - first]; silence where there are none."""
        part = floats(self.kept[:, max(first, 0) : max(stop, 0)])
        before = min(max(-first, 0), stop - first)
        return F.pad(part, (before, stop - first - before - part.shape[1]))

    def _count(self, seconds: Fraction) -> int:
        return max(round(seconds * self.rate), 0)


def floats(samples: Tensor) -> Tensor:
    """Samples of 16 bits as float32 around 0; float32 as it is."""
    return samples if samples.is_floating_point() else samples.float().div_(FULL)


def sixteen_bits(samples: Tensor) -> Tensor:
    """float32 around 0 as int16, cut at -1 and 1; int16 as it is."""
    return (samples.clamp(-1, 1) * FULL).round().to(torch.int16) if samples.is_floating_point() else samples
