"""Pictures and video files in and out.

Importing this package imports no codecs; names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magi_core.video.files import Video, VideoWriter, read_video, write_video
    from magi_core.video.images import FIT_POLICIES, as_frames, fit, read_image
    from magi_core.video.rate import exact_fps

_HOME = {
    "FIT_POLICIES": "images",
    "Video": "files",
    "VideoWriter": "files",
    "as_frames": "images",
    "exact_fps": "rate",
    "fit": "images",
    "read_image": "images",
    "read_video": "files",
    "write_video": "files",
}
__all__ = [
    "FIT_POLICIES",
    "Video",
    "VideoWriter",
    "as_frames",
    "exact_fps",
    "fit",
    "read_image",
    "read_video",
    "write_video",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
