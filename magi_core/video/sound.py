"""Sound as a value: samples and their rate, cut and filled up so that it stays in step with frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # what AAC has, up to what people hear
BYTES_PER_SECOND = 2 * 4 * max(RATES)  # of a sound in memory, at most


@dataclass(frozen=True, eq=False)
class Sound:
    """samples: float32 [channels, n] around 0, on the CPU. channels: 1 or 2. rate: samples per second, of `RATES`.

    The first sample is heard when the first frame is shown.
    """

    samples: Tensor
    rate: int

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.samples.shape[1], self.rate)

    def since(self, seconds: Fraction) -> Sound:
        """Without what is heard before `seconds`."""
        return Sound(self.samples[:, self._count(seconds) :], self.rate)

    def lasting(self, seconds: Fraction) -> Sound:
        """`seconds` long: cut, or with silence at the end."""
        missing = self._count(seconds) - self.samples.shape[1]
        return self if missing == 0 else Sound(F.pad(self.samples, (0, missing)), self.rate)

    def ending_at(self, seconds: Fraction) -> Sound:
        """`seconds` long, its end kept: silence in front, or cut there."""
        missing = self._count(seconds) - self.samples.shape[1]
        return self if missing == 0 else Sound(F.pad(self.samples, (missing, 0)), self.rate)

    def between(self, first: int, stop: int) -> Tensor:
        """Samples [channels, stop - first]; silence where there are none."""
        part = self.samples[:, max(first, 0) : max(stop, 0)]
        before = min(max(-first, 0), stop - first)
        return F.pad(part, (before, stop - first - before - part.shape[1]))

    def _count(self, seconds: Fraction) -> int:
        return max(round(seconds * self.rate), 0)
