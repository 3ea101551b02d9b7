"""From a video file to the latents of a source, chunk by chunk: no more than one chunk of frames is in memory."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.video.frame_source import FrameSource, resample
from magi_core.video.images import fit
from magi_core.video.rate import exact_fps

if TYPE_CHECKING:
    from magi_core.vae import VAE


def encode_source(
    vae: VAE, path: str | Path, *, width: int, height: int, fps: float | str | Fraction = 24, policy: str = "crop"
) -> tuple[Tensor, int]:
    """Latents [1, C, 6 n, height / 8, width / 8] of a video file, and how many frames it has at `fps`.

    The last chunk is filled up with repeats of the last frame. policy: see `fit`.
    """
    latents: list[Tensor] = []
    frames: list[Tensor] = []
    count = 0
    for picture in resample(FrameSource(path), exact_fps(fps)):
        frames.append(fit(picture()[None], width, height, policy)[0][0])
        count += 1
        if len(frames) == VIDEO_FRAMES_PER_CHUNK:
            latents.append(vae.encode(torch.stack(frames)).cpu())
            frames = []
    if frames:
        frames += [frames[-1]] * (VIDEO_FRAMES_PER_CHUNK - len(frames))
        latents.append(vae.encode(torch.stack(frames)).cpu())
    if not latents:
        raise MagiError(f"{path} has no frame that can be read")
    return torch.cat(latents, dim=2), count
