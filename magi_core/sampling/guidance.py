"""Guidance: how the passes with text, with earlier chunks and alone are weighed, per chunk and timestep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from magi_core.config import Guidance

KNOT_TOLERANCE = 1e-7


@dataclass(frozen=True)
class PassWeights:
    """Weights of the three velocities; they add up to 1."""

    text: float
    previous: float
    alone: float


NOT_ASKED = PassWeights(text=0.0, previous=1.0, alone=0.0)
"""Of a chunk whose velocity is not used: it is in no pass for its own sake."""


@lru_cache(maxsize=4096)
def scales(guidance: Guidance, t: float) -> tuple[float, float]:
    """(previous, text) scales at float32 timestep `t`: those of the last knot with `knot - 1e-7 < t`, in float32."""
    knots = torch.tensor(guidance.knots, dtype=torch.float32) - KNOT_TOLERANCE
    index = int((knots < torch.tensor(t, dtype=torch.float32)).nonzero()[-1])
    return guidance.previous[index], guidance.text[index]


def pass_weights(guidance: Guidance, t: float) -> PassWeights:
    """`v = (1 - p) v_alone + (p - s) v_previous + s v_text` with p, s the scales at `t`."""
    previous, text = scales(guidance, t)
    return PassWeights(text=text, previous=previous - text, alone=1.0 - previous)
