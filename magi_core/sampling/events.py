"""What the sampling loop tells while it works, in order; nobody is called back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from magi_core.state import Frontier, InFlight


@dataclass(frozen=True)
class Entered:
    """A chunk has entered the window: its noise is drawn, its first stage comes next."""

    index: int
    key: str


@dataclass(frozen=True, eq=False)
class Denoising:
    """A chunk in flight after a step.

    stage: stages of the window it has behind it. t: timestep that it has reached, 0 noise, 1 clean.
    clean_estimate: call it for the clean latent that is expected of it, [C, T, h, w]: `x + (1 - t) v`.
    """

    index: int
    key: str
    stage: int
    t: float
    clean_estimate: Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class Stepped:
    """One Euler step of every chunk in flight, oldest first.

    step, steps: forwards done and in all. done, chunks: chunks finished and to be finished.
    notes: what this step has shown that is worth telling at once, in words; they stay in the state's notes.
    """

    in_flight: tuple[Denoising, ...]
    step: int
    steps: int
    done: int
    chunks: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reached:
    """The pipeline as it stands where the next chunk would enter, on the CPU."""

    frontier: Frontier


@dataclass(frozen=True, eq=False)
class Finished:
    """A chunk has become clean; its latent is on the CPU."""

    chunk: InFlight


@dataclass(frozen=True)
class Stopped:
    """The run was asked to stop; nothing comes after."""


Event = Entered | Stepped | Reached | Finished | Stopped
