"""A linear picture of latents: the best one for the VAE's own colours, made once per VAE."""

from __future__ import annotations

import torch

from magi_core.vae.latent_rgb import colour_chart, fit_latent_rgb, latent_rgb
from tools.small_models import tiny_vae


class LinearVAE:
    """Latents are a mix of the mean colour of 4 frames of 8x8 pixels."""

    mix = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        time, rows, columns, _ = frames.shape
        cells = frames.float().reshape(time // 4, 4, rows // 8, 8, columns // 8, 8, 3).mean((1, 3, 5)) / 255 - 0.3
        return (cells @ self.mix).movedim(-1, 0)[None]


def test_colours_of_a_linear_vae_come_back() -> None:
    fit, vae = fit_latent_rgb(LinearVAE()), LinearVAE()
    frames = torch.randint(0, 256, (4, 2, 3, 3), dtype=torch.uint8)[:1].repeat_interleave(4, 0)
    frames = frames.repeat_interleave(8, 1).repeat_interleave(8, 2)
    shown = fit(vae.encode(frames)[0])
    assert shown.dtype == torch.uint8 and shown.shape == (1, 2, 3, 3)
    assert (shown[0].int() - frames[0, ::8, ::8].int()).abs().max() <= 1


def test_the_chart_holds_the_corners_of_the_colour_cube() -> None:
    colours = set(map(tuple, colour_chart()[0].reshape(-1, 3).tolist()))
    assert {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)} <= colours


def test_a_real_vae_is_fitted_once_and_better_than_grey() -> None:
    vae = tiny_vae()
    fit = latent_rgb(vae)
    assert latent_rgb(vae) is fit
    chart = colour_chart()
    colours = chart[0].float().reshape(30, 8, 32, 8, 3).mean((1, 3))
    error = (fit(vae.encode(chart)[0])[0].float() - colours).square().mean()
    assert error < colours.var()
