"""Stand-in for `comfy_api.latest`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

from torch import Tensor

from . import io, ui

__all__ = ["ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]


class ComfyExtension:
    async def on_load(self) -> None: ...

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError


@dataclass
class VideoComponents:
    images: Tensor
    frame_rate: Fraction
    audio: object = None


class VideoFromComponents:
    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        return self._components


class VideoFromFile:
    def __init__(self, path: str, *, start_time: float = 0, duration: float = 0) -> None:
        self.path, self._window = path, (start_time, duration)

    def get_stream_source(self) -> str:
        return self.path

    def get_active_trim_window(self) -> tuple[float, float]:
        return self._window


Types = SimpleNamespace(VideoComponents=VideoComponents)
InputImpl = SimpleNamespace(VideoFromComponents=VideoFromComponents, VideoFromFile=VideoFromFile)
Input = SimpleNamespace(Video=VideoFromComponents)
