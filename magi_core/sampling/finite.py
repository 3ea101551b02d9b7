"""A chunk whose numbers broke: at which step, and why most likely."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from magi_core.errors import MagiError, echo
from magi_core.sampling.sampler import Sampler
from magi_core.state import InFlight
from magi_core.state.plausible import LARGEST, implausible


class Watch:
    """Largest values of every chunk in flight, step by step, left on their device until one is asked for.

    A reduction a step and chunk, beside a forward of many matrix products; nothing waits for it.
    """

    def __init__(self) -> None:
        self._largest: dict[int, list[tuple[int, Tensor]]] = {}

    def note(self, index: int, step: int, latent: Tensor) -> None:
        """Latent of chunk `index` after Euler step `step`, counted from 1."""
        self._largest.setdefault(index, []).append((step, latent.detach().abs().amax()))

    def sound(self, chunks: Iterable[InFlight]) -> bool:
        """Whether these chunks have values that latents can have: as last noted, which is one look at the device for
        all of them; those of which nothing was noted are looked through."""
        given = list(chunks)
        newest = [self._largest[chunk.index][-1][1] for chunk in given if chunk.index in self._largest]
        if newest and not bool((torch.stack(newest) <= LARGEST).all()):
            return False
        return not any(implausible(chunk.latent) for chunk in given if chunk.index not in self._largest)

    def forget(self, index: int) -> None:
        self._largest.pop(index, None)

    def broke_at(self, index: int) -> int | None:
        """The first step after which chunk `index` had values that no latent has."""
        noted = self._largest.get(index, [])
        return next((step for step, largest in noted if not float(largest) <= LARGEST), None)


def check_finished(engine: Sampler, chunk: InFlight, watch: Watch, steps: int) -> None:
    """Raise `MagiError` for a finished chunk that is not a chunk of video; the chunks before it are good."""
    if watch.sound([chunk]):
        return
    wrong = implausible(chunk.latent)
    if not wrong:
        return
    broke_at = watch.broke_at(chunk.index)
    step = "" if broke_at is None else f" from step {broke_at} of {steps} on"
    raise MagiError(
        f"chunk {chunk.index} has {wrong}{step}, and what follows it would have too. {likely_cause(engine, chunk)}. "
        "The chunks before it are kept"
    )


def likely_cause(engine: Sampler, chunk: InFlight) -> str:
    """Why a chunk came out with numbers that are none, and what to do, in words."""
    if wrong := implausible(chunk.text.tokens):
        return f"The text encoder made them: what it gives for {echo(chunk.at.spec.prompt)} has {wrong}. Load it anew"
    for name, weight in engine.dit.named_parameters():
        if not weight.is_meta and bool(weight.detach().float().isnan().any()):
            return f"A weight of the model is no number ({name}): its file, or a LoRA on it, is damaged. Get it again"
    kind = str(engine.dit.dtype).removeprefix("torch.")
    other = "bfloat16 or float32" if kind == "float16" else "float32"
    return (
        f"The weights are numbers, so most likely a value grew too large for {kind}: use {other}, lower guidance, or "
        "another attention"
    )
