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
    def __init__(self, path: str) -> None:
        self.path = path


Types = SimpleNamespace(VideoComponents=VideoComponents)
InputImpl = SimpleNamespace(VideoFromComponents=VideoFromComponents, VideoFromFile=VideoFromFile)
Input = SimpleNamespace(Video=VideoFromComponents)
