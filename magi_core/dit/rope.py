"""Three-dimensional rotary position embedding with learned frequency bands."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from magi_core.operations import Operations

REFERENCE_GRID = 256  # tokens of the 16 x 16 grid to which heights and widths are rescaled


class RotaryEmbedding(nn.Module):
    """Learned bands, shared by the t, h and w axes; `head_dim / 8` bands each, so 6/8 of a head is rotated."""

    def __init__(self, head_dim: int, ops: Operations, *, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.placed = ops.placed
        count = head_dim // 8
        self.bands = nn.Parameter((10000.0 ** -(torch.arange(count) / count)).to(device))

    def forward(self, frames: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Sine and cosine, each [T * height * width, 3 * head_dim / 8] float32; `frames` [T] are absolute indices.

        Angles are formed in float64: at frame 6,000 a float32 product would already be off by 4e-4.
        """
        bands = self.placed(self.bands, frames.device).double()
        axes = (
            frames.to(bands)[:, None, None],
            centred_positions(height, height, width, bands.device)[None, :, None],
            centred_positions(width, height, width, bands.device)[None, None, :],
        )
        shape = (frames.shape[0], height, width, bands.shape[0])
        angles = torch.cat([(axis[..., None] * bands).expand(shape) for axis in axes], dim=-1).flatten(0, 2)
        return angles.sin().float(), angles.cos().float()


def centred_positions(length: int, height: int, width: int, device: torch.device) -> Tensor:
    """Token positions along an axis of `length`, float64, centred on 0 and stretched as if the grid held 256 tokens."""
    if length == 1:
        return torch.zeros(1, dtype=torch.float64, device=device)  # the reference divides by zero here
    stretch = math.sqrt(REFERENCE_GRID / (height * width))
    scale = (length * stretch - 1) / (length - 1)
    return (torch.arange(length, dtype=torch.float64, device=device) - (length - 1) / 2) * scale
