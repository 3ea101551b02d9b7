"""What the six slots of a training sample hold: which chunks, how noisy they are, and how far back each of them looks.

Slots hold one or several videos one after the other ("segments", each from a chunk 0 on), so that starts of videos are
seen at every noise level. What a segment looks like follows the sampler: earlier chunks are cleaner, and a chunk
attends to its own segment only, over the range its noise level has in the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.sampling.timesteps import timesteps
from tools.nano.clips import Corpus
from tools.nano.vocabulary import CHUNKS

ROUNDING = 1e-4  # a grid's timestep turned back into progress may fall just short of its quarter
KV_TABLE = (5, 4, 3, 2)
SEGMENT_STARTS = 0.22  # chance of every later slot to begin another video
CLEAN_PREFIX = 0.5


@dataclass(frozen=True)
class Mix:
    """How often a batch holds what, as shares.

    null, alone: samples without text, and of such that attend to themselves only. range_one: other samples that do
    so. random_ranges: KV ranges of 1 to 5 in place of the table's. tagged: of samples without text, clips with marks
    that only negative tokens name. staggered: noise levels one stage apart, as the sampler has them; otherwise sorted
    random ones. late: segments whose last chunk has some stages behind it. steps: noise levels are those of a run with
    this many steps; None: any. unknown: caption words replaced by the unknown word, so that none leans on another.
    guessed: samples whose clean chunks, and those in the last quarter of the steps, are part drawn and part the model's
    own guess, or, in half of these samples, part drawn worn, as they are in a run; clean ones are there to be read and
    have no loss, the others become the drawn ones. disguised: new shots that show other things than the history when
    they first see it, as when they came to be alone, or theirs, fainter, also where the shot before ended; they become
    what they were drawn as. slipped: chunks after finished ones that show worn objects at another speed until the
    history has told them; what they become is the drawn ones.
    cuts: segments that begin in the middle of a clip.
    """

    null: float = 0.11
    alone: float = 0.07
    range_one: float = 0.05
    random_ranges: float = 0.25
    tagged: float = 0.35
    staggered: float = 0.6
    late: float = 0.0
    steps: int | None = None
    unknown: float = 0.03
    guessed: float = 0.5
    disguised: float = 0.8
    slipped: float = 0.4
    cuts: float = 0.2


BASE_MIX = Mix()


class Dice:
    """Random numbers [size, ...] of a batch."""

    def __init__(self, size: int, device: torch.device, generator: torch.Generator) -> None:
        self.size, self._where = size, {"device": device, "generator": generator}

    def each(self, *shape: int) -> Tensor:
        """Uniform, for every slot [B, 6, ...]."""
        return torch.rand(self.size, CHUNKS, *shape, **self._where)

    def sample(self) -> Tensor:
        """Uniform, for every sample [B, 1]."""
        return torch.rand(self.size, 1, **self._where)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.size, *shape, **self._where)


@dataclass(frozen=True, eq=False)
class Slots:
    """All [B, 6], but null_sample and range_one [B, 1].

    clip, place: the chunk of the corpus that a slot holds. first: the slot in which its segment begins. within, length:
    which chunk of its segment it holds, of how many. new_shot: it does not go on from the one before. null_sample: no
    slot of the sample reads text. range_one: all of its slots look at themselves only.
    """

    clip: Tensor
    place: Tensor
    first: Tensor
    within: Tensor
    length: Tensor
    new_shot: Tensor
    null_sample: Tensor
    range_one: Tensor


@dataclass(frozen=True, eq=False)
class Levels:
    """All [B, 6]: timestep t, whether a chunk is finished, and the quarter of its steps that a noisy one is in."""

    t: Tensor
    clean: Tensor
    quarter: Tensor


def timestep_of(u: Tensor) -> Tensor:
    """The sampler's timestep at fraction `u` of its steps."""
    square = u.square()
    return square / 3 / (1 - 2 * square / 3)


def progress_of(t: Tensor) -> Tensor:
    """Inverse of `timestep_of`."""
    return (3 * t / (1 + 2 * t)).clamp(0, 1).sqrt()


def sample_slots(corpus: Corpus, dice: Dice, mix: Mix) -> Slots:
    """Which chunks a batch holds."""
    slots = torch.arange(CHUNKS, device=corpus.latents.device).expand(dice.size, -1)
    kind = dice.sample()
    null_sample = kind < mix.null + mix.alone
    range_one = (kind < mix.alone) | (kind > 1 - mix.range_one)

    starts = dice.each() < SEGMENT_STARTS
    starts[:, 0] = True
    first = torch.where(starts, slots, 0).cummax(dim=1).values
    following = torch.where(starts, slots, CHUNKS).roll(-1, 1)
    following[:, -1] = CHUNKS
    length = following.flip(1).cummin(dim=1).values.flip(1) - first
    within = slots - first
    cut = (dice.each() < mix.cuts).gather(1, first)
    begin = (dice.each().gather(1, first) * (CHUNKS - length + 1)).long()
    place = within + torch.where(cut, begin, 0)

    marked = null_sample & (dice.each() < mix.tagged)
    clip = torch.where(
        marked,
        corpus.tagged[(dice.each() * len(corpus.tagged)).long()],
        corpus.clean[(dice.each() * len(corpus.clean)).long()],
    ).gather(1, first)
    new_shot = corpus.new_shot[clip, place] & (within > 0)
    return Slots(clip, place, first, within, length, new_shot, null_sample, range_one)


def sample_levels(slots: Slots, dice: Dice, mix: Mix) -> Levels:
    """How noisy they are: some first chunks of a segment, never all of it, are finished."""
    prefix = torch.where(dice.each() < CLEAN_PREFIX, dice.each(), 0.0).gather(1, slots.first)
    clean = slots.within < (prefix * slots.length).long()
    offset = dice.each().gather(1, slots.first)
    if mix.steps:
        per_stage = mix.steps // len(KV_TABLE)
        offset = (offset * per_stage).floor() / per_stage
    if mix.late:
        behind = 1 + (dice.each() * (len(KV_TABLE) - 1)).floor()
        offset = offset + torch.where(dice.each() < mix.late, behind, 0.0).gather(1, slots.first)
    staggered = (offset + (slots.length - 1 - slots.within)) / len(KV_TABLE)
    falling = torch.sigmoid(dice.normal(CHUNKS)).sort(dim=1, descending=True).values
    as_sampled = dice.sample() < mix.staggered
    t = torch.where(as_sampled, timestep_of(staggered.clamp(max=0.9999)), falling / 3 / (1 - 2 * falling / 3))
    clean = torch.where(as_sampled, clean | (staggered >= 1), clean)
    if mix.steps:
        grid = timesteps(mix.steps).to(t.device)
        t = grid[(progress_of(t) * mix.steps).round().long().clamp(max=mix.steps - 1)]
    quarter = (progress_of(t) * len(KV_TABLE) + ROUNDING).long().clamp(max=len(KV_TABLE) - 1)
    return Levels(t, clean, quarter)


def sample_first_keys(slots: Slots, levels: Levels, dice: Dice, mix: Mix) -> Tensor:
    """First slot [B, 6] that each of them looks at. New shots are alone while they are noisy, as in the sampler."""
    table = torch.tensor(KV_TABLE, device=levels.t.device)[levels.quarter]
    random_reach = 1 + (dice.each() * 5).long()
    reach = torch.where(dice.sample() < mix.random_ranges, random_reach, table)
    shot_reach = torch.where(levels.quarter < len(KV_TABLE) // 2, 1, table)
    reach = torch.where(slots.new_shot, shot_reach, reach)
    reach = torch.where(levels.clean | slots.range_one, 1, reach)
    return torch.maximum(slots.first, slots.first + slots.within - reach + 1)
