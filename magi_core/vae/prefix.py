"""From an image or a video to the clean latents that a state starts with."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from torch import Tensor

from magi_core.config import FRAMES_PER_LATENT, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.vae.encoding import encode_pictures
from magi_core.vae.given import GivenVideo
from magi_core.video.files import MAX_FRAMES
from magi_core.video.frame_source import SHOWN_AT, OnCount
from magi_core.video.images import fit, noted_frames
from magi_core.video.rate import exact_fps

MOST_REPEATED = 30  # frames made of one, when a video is brought to another rate

if TYPE_CHECKING:
    from magi_core.vae import VAE


def encode_image(
    vae: VAE, image: Any, *, width: int, height: int, policy: str = "crop"
) -> tuple[Tensor, tuple[str, ...]]:
    """Latents [1, C, 1, height / 8, width / 8] of an image [H, W, 3], and what was done to it. policy: see `fit`."""
    frames, done = noted_frames(image, "image")
    frames, note = fit(frames, width, height, policy)
    return vae.encode(frames), (*done, note) if note else done


def encode_continued(vae: VAE, given: GivenVideo, on_count: OnCount | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Latents [1, C, n / 4, height / 8, width / 8], rounded up, of a video that is continued, and what was done to it.

    One whose length is not a multiple of 4 is filled up in front with repeats of its first frame, because a latent
    covers 4 frames and the last frame must stay the one that is continued. on_count: as for `given.pictures`.
    """
    missing = missing_frames(len(given))
    note = f"the video's first frame is repeated {missing} times, so that its length is a multiple of 4"
    latents = encode_pictures(vae, given.pictures(on_count), VIDEO_FRAMES_PER_CHUNK - missing)
    return latents, (note,) if missing else ()


def missing_frames(frames: int) -> int:
    """How many frames fill a video of `frames` up to whole latent frames."""
    return -frames % FRAMES_PER_LATENT


def resample(frames: Tensor, fps: float | Fraction, wanted: float | Fraction) -> Tensor:
    """Frames [T, ...] shown at a constant `fps`, as they would be seen at `wanted` frames per second.

    Picks frames as `read_video` does for files, without blending. The same rate returns `frames` itself.
    """
    source, target = exact_fps(fps), exact_fps(wanted)
    if source == target:
        return frames
    count = max(round(len(frames) / source * target), 1)
    if count > MAX_FRAMES or count > MOST_REPEATED * len(frames):
        raise MagiError(
            f"{len(frames)} frames at {float(source):.4g} per second would make {count:,} at {float(target):.4g}: cut "
            "the video to what the new one should go on from, or give it another frame rate"
        )
    chosen = [min(int((k + SHOWN_AT) / target * source), len(frames) - 1) for k in range(count)]
    return frames[chosen]
