"""From an image or a video in memory to the clean latents that a state starts with."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from torch import Tensor

from magi_core.config import FRAMES_PER_LATENT
from magi_core.errors import MagiError
from magi_core.video.files import MAX_FRAMES
from magi_core.video.frame_source import SHOWN_AT
from magi_core.video.images import fit, noted_frames
from magi_core.video.rate import exact_fps

MOST_REPEATED = 30  # frames made of one, when a video is brought to another rate

if TYPE_CHECKING:
    from magi_core.vae import VAE


def encode_prefix(
    vae: VAE, *, width: int, height: int, image: Any = None, video: Any = None, policy: str = "crop"
) -> tuple[Tensor, tuple[str, ...]]:
    """Latents [1, C, p, height / 8, width / 8] of an image [H, W, 3] or a video [T, H, W, 3], and what was done to it.

    A video whose length is not a multiple of 4 is filled up in front with repeats of its first frame, because a latent
    covers 4 frames and the last frame must stay the one that is continued. policy: "crop", "pad" or "stretch".
    """
    if (image is None) == (video is None):
        raise MagiError("give an image or a video to start from, one of the two")
    frames, done = noted_frames(image if video is None else video, "image" if video is None else "video")
    frames, note = fit(frames, width, height, policy)
    notes = [*done, note] if note else [*done]
    if video is None:
        return vae.encode(frames), tuple(notes)
    return encode_video(vae, frames), (*notes, *filling_notes(len(frames)))


def encode_video(vae: VAE, frames: Tensor) -> Tensor:
    """`VAE.encode` of frames that are a video, one alone too."""
    return vae.encode(frames if len(frames) > 1 else frames.expand(FRAMES_PER_LATENT, -1, -1, -1))


def filling_notes(frames: int) -> tuple[str, ...]:
    """What filling up a video of `frames` is said to be."""
    missing = missing_frames(frames)
    if not missing:
        return ()
    return (f"the video's first frame is repeated {missing} times, so that its length is a multiple of 4",)


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
