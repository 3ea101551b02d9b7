"""Layer classes for training: `torch.nn.Conv3d` with other arithmetic, the same parameters.

cuDNN is slow on 3-D convolutions with few channels. Patch embeddings (kernel = stride) become one matrix
product, and the 3 x 3 x 3 convolution of the VAE one of three equivalent forms; `fastest_form` times them
once at the start.
"""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.operations import Operations, Plain

FORMS = ("conv2d", "columns", "conv3d")


class Conv3d(nn.Conv3d):
    """Patches as a matrix product; 3 x 3 x 3 kernels of stride 1 in the `form` set for the process."""

    form = "conv2d"

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == self.stride:
            return patch_product(x, self.weight, self.bias)
        if self.form == "conv2d":
            return folded_conv2d(x, self.weight, self.bias)
        if self.form == "columns":
            return column_product(x, self.weight, self.bias)
        return super().forward(x)


class Convolutions(Plain):
    """Plain PyTorch's layers, but for `Conv3d`."""

    Conv3d = Conv3d


LAYERS: Operations = Convolutions()


def patch_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Non-overlapping patches [B, C, T, H, W] times [O, C, t, h, w]: [B, O, T/t, H/h, W/w]."""
    t, h, w = weight.shape[2:]
    b, c, frames, height, width = x.shape
    x = x.reshape(b, c, frames // t, t, height // h, h, width // w, w)
    x = x.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
    return F.linear(x, weight.flatten(1), bias).permute(0, 4, 1, 2, 3)


def folded_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The three frames a 3 x 3 x 3 kernel sees, side by side in the channels of a 2-D convolution."""
    b, c, frames, height, width = x.shape
    padded = F.pad(x, (0, 0, 0, 0, 1, 1))
    x = torch.stack([padded[:, :, i : i + frames] for i in range(3)], dim=2)  # B C 3 T H W
    x = x.permute(0, 3, 1, 2, 4, 5).reshape(b * frames, 3 * c, height, width)
    out = F.conv2d(x, weight.flatten(1, 2), bias, padding=1)
    return out.unflatten(0, (b, frames)).transpose(1, 2)


def column_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """All 27 shifts of the channels as columns of one matrix product."""
    frames, height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1, 1, 1))
    shifts = [
        padded[:, :, t : t + frames, i : i + height, j : j + width]
        for t in range(3)
        for i in range(3)
        for j in range(3)
    ]
    columns = torch.stack(shifts, dim=-1).movedim(1, -2).flatten(-2)  # B T H W (C 27)
    return F.linear(columns, weight.flatten(1), bias).movedim(-1, 1)


def fastest_form(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> str:
    """The quickest of `FORMS`, forward and backward, from an input of this shape to three channels."""
    times = {}
    for form in FORMS:
        layer = Conv3d(shape[1], 3, 3, padding=1, device=device, dtype=dtype)
        layer.form = form
        x = torch.randn(shape, device=device, dtype=dtype, requires_grad=True)
        for trial in range(5):
            layer(x).square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if trial == 1:
                start = time.perf_counter()
        times[form] = (time.perf_counter() - start) / 3
    print("convolution forms, seconds:", {form: round(value, 5) for form, value in times.items()}, flush=True)
    return min(times, key=times.get)
