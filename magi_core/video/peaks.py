"""A sound as a picture of how loud it is: the loudest of every short while."""

from __future__ import annotations

import torch.nn.functional as F

from magi_core.video.sound import Sound, floats

USUAL_RATE = 50  # peaks a second
MOST = 16_384
AT_ONCE = 256  # peaks: floats of all samples would take four times what they are kept in


def peaks_of(sound: Sound) -> tuple[float, list[int]]:
    """Peaks a second, and the peaks: 0 for silence, 255 for as loud as can be; at most `MOST` of them."""
    samples = sound.kept.shape[1]
    step = max(sound.rate // USUAL_RATE, -(-samples // MOST), 1)
    loudest = [part.abs().amax(dim=0) for part in map(floats, sound.kept.split(step * AT_ONCE, dim=1))]
    rows = [F.pad(part, (0, -part.shape[0] % step)).reshape(-1, step).amax(dim=1) for part in loudest if len(part)]
    return sound.rate / step, [int(peak) for row in rows for peak in row.clamp(0, 1).mul(255).round()]
