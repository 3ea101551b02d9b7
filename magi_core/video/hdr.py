"""HDR and wide-gamut pictures as ordinary ones: light is made out of their signal, brought into range, coded again.

Sources: ITU-R BT.2100-2 (PQ and HLG, tables 4 and 5), BT.2408-7 (HDR reference white at 203 cd/m2), BT.2390-11 section
5.4.1 (the EETF, a knee that leaves what is dark alone), BT.2087-0 (colours of BT.2020 as those of BT.709), BT.1886
(what an ordinary screen shows), H.273 (codes).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Light = Literal["PQ", "HLG", "BT.2020"]

PQ, HLG, BT2020 = 16, 18, 9  # H.273: transfer, transfer, primaries
WHITE, PEAK = 203.0, 1000.0  # cd/m2 of what becomes white's level before the knee, and of what becomes white
SCREEN = 2.4  # gamma, BT.1886
LEVELS = 1 << 16
LUMA = (0.2627, 0.6780, 0.0593)
TO_709 = (  # linear light, BT.2087 M2
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
ROWS = 1 << 18  # pixels at a time: what is passing stays small


def light_of(transfer: Any, primaries: Any) -> Light | None:
    """What has to be done with pictures of these H.273 codes, or None."""
    if transfer == PQ:
        return "PQ"
    if transfer == HLG:
        return "HLG"
    return "BT.2020" if primaries == BT2020 else None


def note_on(light: Light) -> str:
    """What was done, in words."""
    if light == "BT.2020":
        return "its colours are those of BT.2020 and were brought to BT.709, which the model knows"
    return f"it is HDR ({light}) and was tone-mapped to SDR, which the model knows: very bright parts lose contrast"


def to_sdr(coded: np.ndarray, light: Light, *, wide: bool = True) -> np.ndarray:
    """uint8 [H, W, 3], BT.709 for an ordinary screen, of uint16 [H, W, 3] full-range RGB coded as `light` says.

    wide: whether the colours are those of BT.2020, as they nearly always are.
    """
    pixels = torch.from_numpy(coded.reshape(-1, 3).astype(np.int32))
    made = torch.empty(len(pixels), 3, dtype=torch.uint8)
    matrix = torch.tensor(TO_709).T
    for first in range(0, len(pixels), ROWS):
        shown = _shown(pixels[first : first + ROWS], light)
        if wide:
            shown = shown @ matrix
        levels = (shown.clamp_(0, 1) * (LEVELS - 1)).round_().int()
        made[first : first + ROWS] = _screen()[levels]
    return made.view(coded.shape).numpy()


def _shown(codes: Tensor, light: Light) -> Tensor:
    """Linear light of an ordinary screen, 1 is its white, of codes int32 [n, 3]."""
    linear = _linear(light)[codes]
    if light == "BT.2020":
        return linear
    if light == "HLG":  # scene light; the system's gamma is 1.2 on a screen of 1000 cd/m2
        linear *= (linear @ torch.tensor(LUMA)).clamp(min=1e-6).pow(0.2)[:, None]
    brightest = linear.amax(dim=1, keepdim=True)
    codes = (_pq_code(brightest * PEAK).clamp(0, 1) * (LEVELS - 1)).round_().int()
    return linear * _gain()[codes]


@cache
def _linear(light: Light) -> Tensor:
    """Linear light of every 16-bit code. PQ: of the display, 1 is `PEAK`; HLG: of the scene, 1 is the peak."""
    signal = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    if light == "PQ":
        return (_pq_light(signal) / PEAK).clamp(max=1).float()
    if light == "HLG":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return torch.where(signal <= 0.5, signal**2 / 3, (((signal - c) / a).exp() + b) / 12).float()
    return (signal**SCREEN).float()


@cache
def _gain() -> Tensor:
    """By the PQ code of the brightest of a pixel's colours: what its light, 1 is `PEAK`, is multiplied with."""
    code = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    top, white = _pq_code(torch.tensor([PEAK, WHITE], dtype=torch.float64))
    mapped = _pq_light(_knee((code / top).clamp(max=1), white / top) * top)
    gain = mapped / _pq_light(code).clamp(min=1e-6) * (PEAK / WHITE)
    gain[:64] = gain[64]  # nearly black, where both are next to nothing
    return gain.float()


def _knee(signal: Tensor, white: Tensor) -> Tensor:
    """BT.2390's EETF for a black of 0: `signal` in 0..1 to 0..`white`, unchanged below its knee."""
    knee = 1.5 * white - 0.5
    t = (signal - knee) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return torch.where(signal < knee, signal, curve)


M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_light(code: Tensor) -> Tensor:
    """cd/m2 of a PQ signal in 0..1."""
    root = code ** (1 / M2)
    return 10_000 * ((root - C1).clamp(min=0) / (C2 - C3 * root)) ** (1 / M1)


def _pq_code(light: Tensor) -> Tensor:
    power = (light / 10_000) ** M1
    return ((C1 + C2 * power) / (1 + C3 * power)) ** M2


@cache
def _screen() -> Tensor:
    """Codes of 8 bits for linear light in steps of 1 / 65535."""
    linear = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    return (linear ** (1 / SCREEN) * 255).round().to(torch.uint8)
