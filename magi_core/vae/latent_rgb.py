"""Latents to small pictures without the VAE's decoder: a linear fit, good enough to see what is coming."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

if TYPE_CHECKING:
    from magi_core.vae import VAE

LEVELS = 6  # per colour: 216 patches
PATCH = 16  # pixels; two latents
CHART = 15 * PATCH, 16 * PATCH  # rows, columns
FRAMES = 8


@dataclass(frozen=True, eq=False)
class LatentRGB:
    """weight [C, 3], bias [3]: a latent's colour in 0..255, the mean of the 8x8 pixels it stands for."""

    weight: Tensor
    bias: Tensor
    _elsewhere: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents [C, ..., h, w] to uint8 [..., h, w, 3] on the CPU; made where the latents are."""
        weight, bias = self._on(latents.device)
        colours = latents.detach().float().movedim(0, -1) @ weight + bias
        return colours.round().clamp(0, 255).to(torch.uint8).cpu()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Weight and bias, sent to a device once: it waits for what is sent."""
        if device == self.weight.device:
            return self.weight, self.bias
        if device not in self._elsewhere:
            self._elsewhere[device] = self.weight.to(device), self.bias.to(device)
        return self._elsewhere[device]


def colour_chart() -> Tensor:
    """uint8 [FRAMES, H, W, 3]: patches of all colours in mixed order, what is left over in grey tones."""
    levels = torch.linspace(0, 255, LEVELS)
    colours = torch.cartesian_prod(levels, levels, levels)
    rows, columns = (side // PATCH for side in CHART)
    greys = torch.linspace(0, 255, rows * columns - len(colours))[:, None].expand(-1, 3)
    patches = torch.cat([colours, greys])
    # A stride prime to their number brings unlike neighbours together, so that edges are of all kinds.
    patches = patches[torch.arange(len(patches)) * 77 % len(patches)].reshape(rows, columns, 3)
    picture = patches.repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1).round().to(torch.uint8)
    return picture.expand(FRAMES, -1, -1, -1)


_fits: WeakKeyDictionary[VAE, LatentRGB] = WeakKeyDictionary()


def fitted(vae: VAE) -> LatentRGB | None:
    """The fit of `vae`, where it has been made: then the VAE need not work for it."""
    return _fits.get(vae)


def latent_rgb(vae: VAE) -> LatentRGB:
    """The fit of `vae`: least squares between the colour chart and its latents. Made once per VAE."""
    if vae not in _fits:
        _fits[vae] = fit_latent_rgb(vae)
    return _fits[vae]


def fit_latent_rgb(vae: VAE) -> LatentRGB:
    chart = colour_chart()
    latents = vae.encode(chart)[0]  # [C, t, h, w]
    _, frames, rows, columns = latents.shape
    side = chart.shape[1] // rows
    colours = chart[0].float().reshape(rows, side, columns, side, 3).mean((1, 3)).expand(frames, -1, -1, -1)
    inputs = latents.movedim(0, -1).reshape(-1, latents.shape[0]).double()
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], dim=1)
    solution = torch.linalg.lstsq(inputs, colours.reshape(-1, 3).double(), driver="gelsd").solution.float()
    return LatentRGB(solution[:-1], solution[-1])
