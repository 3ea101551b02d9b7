"""What the shipped workflows make, and what a finished prompt made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from tools.comfyui.server import Server


@dataclass(frozen=True)
class Result:
    """What a workflow saves: a video of so many frames, its size, how many pictures, and takes by name."""

    frames: int
    size: tuple[int, int] = (128, 128)
    pictures: int = 0
    takes: tuple[str, ...] = ()


RESULTS = {  # a chunk is 24 frames; a prefix of p latent frames adds its own, rounded up to whole chunks
    "text_to_video": Result(6 * 24),
    "storyboard": Result(4 * 24),
    "image_to_video": Result(2 * 24),
    "video_continuation": Result((32 // 24 + 2) * 24),
    "fork_two_takes": Result(2 * 24, size=(256, 128)),
    "shot_transitions": Result(4 * 24, pictures=1),
    "save_and_extend": Result(3 * 24, takes=("ball_00001_.magi",)),
    "long_stream_to_file": Result(7 * 24, takes=("long_stream.magi",)),
}


def videos_and_pictures(server: Server, entry: dict[str, Any]) -> tuple[list[Path], list[Path]]:
    """Videos and pictures that the prompt put into the output folder."""
    files = [path for path in server.saved(entry) if path.is_relative_to(server.base / "output")]
    videos = [path for path in files if path.suffix == ".mp4"]
    return videos, [path for path in files if path not in videos]


def frames_and_size(path: Path) -> tuple[int, tuple[int, int]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 24
        return sum(1 for _ in container.decode(stream)), (stream.width, stream.height)
