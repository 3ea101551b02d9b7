"""A sound as a picture of how loud it is: the loudest of every short while."""

from __future__ import annotations

import torch.nn.functional as F

from magi_core.video.sound import Sound

USUAL_RATE = 50  # peaks a second
MOST = 16_384


def peaks_of(sound: Sound) -> tuple[float, list[int]]:
    """Peaks a second, and the peaks: 0 for silence, 255 for as loud as can be; at most `MOST` of them."""
    samples = sound.samples.shape[1]
    step = max(sound.rate // USUAL_RATE, -(-samples // MOST), 1)
    loudest = sound.samples.abs().amax(dim=0)
    rows = F.pad(loudest, (0, -samples % step)).reshape(-1, step)
    peaks = (rows.amax(dim=1) if samples else loudest).clamp(0, 1).mul(255).round().int()
    return sound.rate / step, peaks.tolist()
