"""Special tokens that tell their row by their value."""

from __future__ import annotations

import torch

from magi_core.text import SPECIAL_TOKEN_NAMES, SpecialTokens


def tokens(channels: int = 4) -> SpecialTokens:
    return SpecialTokens({name: torch.full((channels,), float(i)) for i, name in enumerate(SPECIAL_TOKEN_NAMES)})
