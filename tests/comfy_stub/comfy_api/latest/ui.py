"""Stand-in for `comfy_api.latest.ui`: what a node shows, as plain records."""

from __future__ import annotations

from typing import Any

from torch import Tensor


class SavedResult(dict):
    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class PreviewVideo:
    def __init__(self, values: list[SavedResult]) -> None:
        self.values = values

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class PreviewImage:
    def __init__(self, image: Tensor, cls: type | None = None) -> None:
        self.image = image

    def as_dict(self) -> dict[str, Any]:
        return {"images": [tuple(self.image.shape)], "animated": (False,)}


class PreviewText:
    def __init__(self, value: str) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}
