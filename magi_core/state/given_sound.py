"""The sound of a given video in a saved take: samples of 16 bits, so that a second takes 192 KB at most."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.video.sound import RATES, Sound, sixteen_bits

NAME = re.compile(r"sound\.([0-9]{4,5})")  # the rate is in the name


def sound_tensors(sound: Sound | None) -> dict[str, Tensor]:
    """Named tensors that say it, none for no sound."""
    if sound is None:
        return {}
    return {f"sound.{sound.rate}": sixteen_bits(sound.kept)}


def sound_from(tensors: Mapping[str, Tensor]) -> Sound | None:
    """What `sound_tensors` made; `MagiError` for what cannot be a sound."""
    for name, samples in tensors.items():
        if found := NAME.fullmatch(name):
            usable = samples.dtype == torch.int16 and samples.ndim == 2 and len(samples) in (1, 2)
            if not usable or int(found[1]) not in RATES:
                raise MagiError(f"{echo(name)} in it is {samples.dtype} {list(samples.shape)}, which is no sound")
            return Sound(samples, int(found[1]))
    return None
