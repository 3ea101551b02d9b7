"""A second pass: which chunk is made from which source, and from which step on it is free.

Up to its release a chunk is tied: before forward j its latent is (1 - t_j) * noise + t_j * source. So what the source
settles early, layout and motion, stays; what comes late, looks, is made anew. A chunk that is released nowhere is its
source, bit for bit; one that is released at step 0 has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from magi_core.config import SamplingSettings
from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.sampling.sampler import Sampler
from magi_core.sampling.timesteps import timesteps
from magi_core.state import ChunkRecord, PlacedChunk, SamplerState, other_vae
from magi_core.state.chunk import Source
from magi_core.state.describe import left_in_flight
from magi_core.story.chunk import ChunkSpec, checked_strength
from magi_core.story.direction import Direction, spec_of, with_spec

USUAL_STRENGTH = 0.5
EVEN = 3.0
"""How far the curve from strength to timestep bends, so that .5 is t = .2."""


@dataclass(frozen=True, eq=False)
class SecondPass:
    """take: its finished chunks, given ones included, are the sources of the chunks at their indices.
    strength: of chunks that say none themselves."""

    take: SamplerState
    strength: float = USUAL_STRENGTH

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", checked_strength(self.strength))

    def source(self, chunk: PlacedChunk, state: SamplerState) -> Source | None:
        """What `chunk` of the video that goes on from `state` is made from; None where it is made anew."""
        if chunk.spec.strength is None or chunk.index >= self.take.finished:
            return None
        return released(_without_given(self.take, state, chunk.index), chunk.spec.strength, state.settings)


def released(record: ChunkRecord, strength: float, settings: SamplingSettings) -> Source | None:
    """`record` as the source of a chunk that is made anew by `strength`; None for all of it."""
    step = release_step(strength, settings)
    return None if step == 0 else Source(record, None if step == settings.steps else step)


def release_step(strength: float, settings: SamplingSettings) -> int:
    """The step of the grid from which a chunk of this strength is free: the one nearest to t = (1 - s) / (1 + 3 s).

    Strengths of 0, .25, .5, .75 and 1 are t = 1, .43, .2, .077 and 0: about even steps in what is seen, where most of
    what moves an object is settled before t = .2. 0: `settings.steps`, never. 1: 0, at once.
    """
    grid = timesteps(settings.steps, settings.shortcut)
    return int((grid - _bent(strength)).abs().argmin())


def _bent(x: float) -> float:
    """Strength to timestep, and timestep to strength."""
    return (1 - x) / (1 + EVEN * x)


def directed(second: SecondPass | None, state: SamplerState, directions: Sequence[Direction]) -> list[Direction]:
    """`directions` of the chunks from `state.next_chunk` on, each with its strength where there is a source.

    Raises `MagiError` for sources that do not fit, and for strengths without one.
    """
    if second is not None:
        _check(second, state)
    told = []
    for index, direction in enumerate(directions, start=state.next_chunk):
        spec = spec_of(direction)
        there = second is not None and index < second.take.finished
        if there and spec.strength is None:
            assert second is not None
            direction = with_spec(direction, replace(spec, strength=second.strength))
        elif not there and spec.strength is not None and spec.strength < 1:
            length = f"of more than {index} chunks" if second is None else f"longer than its {second.take.finished}"
            raise MagiError(
                f"chunk {index} has strength {spec.strength:g} and nothing to be made from: give a take or a video "
                f"{length} as source, or leave out its [strength]"
            )
        told.append(direction)
    return told


def _check(second: SecondPass, state: SamplerState) -> None:
    take = second.take
    if take.latent_shape != state.latent_shape:
        if take.channels != state.channels:
            what = f"latents of {take.channels} channels where this video has {state.channels}: its VAE is another"
        else:
            what = f"{take.width}x{take.height} where this video is {state.width}x{state.height}: use the same size"
        raise MagiError(f"the source has {what}")
    if not take.finished:
        raise MagiError("the source has no finished chunk: give a take or a video of 24 frames or more")


def notes_on(take: SamplerState, engine: Sampler) -> list[str]:
    """What is to be said about a source: that chunks in flight are none yet; that its latents are of another VAE, or
    made by another kind of model where nothing tells of which VAE."""
    notes = [*left_in_flight(take)]
    made, here = take.model, engine.dit.config.summary
    if take.vae and engine.vae_identity:
        notes.append(other_vae(take, engine.vae_identity))
    elif take.fingerprint != engine.fingerprint and made not in ("", here):
        another = f"the take was made by another model ({made}) than this one ({here})"
        notes.append(f"{another}: both must belong to the same VAE")
    return notes


def _without_given(take: SamplerState, state: SamplerState, index: int) -> ChunkRecord:
    """Finished chunk `index` of `take`, in it the frames that `state` was given: they win."""
    if index >= take.first_chunk:
        record = take.chunks[index - take.first_chunk]
    else:
        at = PlacedChunk(index, ChunkSpec(""), take.seed, key=take.chunk_key(index))
        record = ChunkRecord(at, take.chunk_latent(index))
    if state.anchor is None or index != state.first_chunk or take.prefix_key == state.prefix_key:
        return record
    latent = torch.cat([state.anchor, record.latent[:, state.anchor.shape[1] :]], dim=1)
    return replace(record, at=replace(record.at, key=digest("given in", state.prefix_key, record.key)), latent=latent)
