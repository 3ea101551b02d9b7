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
    "01 Text to video": Result(6 * 24),
    "02 Storyboard, a line for every second": Result(4 * 24),
    "03 Image to video": Result(2 * 24),
    "04 A video goes on": Result((32 // 24 + 2) * 24),
    "05 Two takes side by side": Result(2 * 24, size=(256, 128)),
    "06 New shots, restyles and cuts": Result(4 * 24, pictures=1),
    "07 Save today, go on tomorrow": Result(3 * 24, takes=("ball_00001_.magi",)),
    "08 Long video, straight to a file": Result(7 * 24, takes=("long_stream.magi",)),
    "09 Change the look, keep the motion": Result(4 * 24, size=(256, 128)),
    "10 Draft, choose, finish": Result(3 * 24),
    "11 Ten seconds with a camera and weather": Result(10 * 24),
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
