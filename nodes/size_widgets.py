"""Width and height, the same in every node that asks for them."""

from __future__ import annotations

from comfy_api.latest import io


def size_inputs() -> list[io.Input]:
    tooltip = "Pixels, a multiple of 16. 720 suits the 4.5B model, 128 is what nano was made for."
    return [io.Int.Input(name, default=720, min=16, max=8192, step=16, tooltip=tooltip) for name in ("width", "height")]
