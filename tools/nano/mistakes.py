"""What chunks show in training that is not as it was drawn, as it is in a run, so that the way back is learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.nano.clips import Corpus
from tools.nano.slots import KV_TABLE, Dice, Levels, Mix, Slots

GUESS_STRENGTH = 1.5  # of what is wrong with a guess, at most
DISGUISED_FROM, DISGUISED_TO = 0.1, 0.6  # timesteps between which a new shot may show other things
LINGERS, MOST_LINGERING = 0.4, 0.7  # of these, those that show where things were; how much of that, at most
DISGUISED_WEIGHT = 3.0  # in the loss, of chunks chosen for it, also when nothing else shows any more: they are few
HEALING_FROM, HEALED_BY = 0.5, 0.9  # timesteps between which what is wrong with a chunk in its last steps fades out


@dataclass(frozen=True, eq=False)
class Mistakes:
    """change [B, 6, C, 6, h, w]: what is to be added to the drawn latents. weight [B, 6]: in the loss. worn [B, 6]:
    slots that show what a run makes of a chunk in place of the drawn one."""

    change: Tensor
    weight: Tensor
    worn: Tensor


def sample_mistakes(
    corpus: Corpus, drawn: Tensor, slots: Slots, levels: Levels, first_key: Tensor, dice: Dice, mix: Mix
) -> Mistakes:
    """What is wrong with the chunks of a batch; drawn [B, 6, C, 6, h, w]: their latents."""
    change, worn = _as_made_before(corpus, drawn, slots, levels, dice, mix)
    shots = slots.new_shot & ~levels.clean & (levels.t >= DISGUISED_FROM)
    disguised = shots & (dice.each() < mix.disguised)
    change = change + _believed_too_soon(corpus, drawn, slots, levels, first_key, disguised, dice, mix)
    weight = torch.where(disguised, DISGUISED_WEIGHT, 1.0)
    return Mistakes(change, weight, worn)


def _as_made_before(
    corpus: Corpus, drawn: Tensor, slots: Slots, levels: Levels, dice: Dice, mix: Mix
) -> tuple[Tensor, Tensor]:
    """Finished chunks and those in their last quarter: part the model's own guess, or worn. What of the latter is not
    healed by `HEALED_BY` stays."""
    guessed = (levels.clean | (levels.quarter == len(KV_TABLE) - 1)) & (dice.sample() < mix.guessed)
    aged = dice.sample() < 0.5
    healing = ((HEALED_BY - levels.t) / (HEALED_BY - HEALING_FROM)).clamp(0, 1)
    strength = torch.where(aged, 1.0, GUESS_STRENGTH) * dice.sample() * torch.where(levels.clean, 1.0, healing)
    at = slots.clip, slots.place
    as_read = torch.where(_spread(aged), corpus.worn[at], corpus.guesses[at]).float()
    change = _spread(torch.where(guessed, strength, 0.0)) * (as_read - drawn)
    return change, guessed & (levels.clean | (levels.t < HEALED_BY))


def _believed_too_soon(
    corpus: Corpus,
    drawn: Tensor,
    slots: Slots,
    levels: Levels,
    first_key: Tensor,
    disguised: Tensor,
    dice: Dice,
    mix: Mix,
) -> Tensor:
    """Other things in new shots, or the same ones where they were, and another speed behind finished chunks, until the
    history is asked."""
    told = levels.clean.gather(1, first_key) & ~slots.new_shot & ~levels.clean
    slipped = told & (dice.each() < mix.slipped)
    fading = ((DISGUISED_TO - levels.t) / (DISGUISED_TO - DISGUISED_FROM)).clamp(min=0)
    share = torch.where(disguised | slipped, fading * (1 - dice.each().square()), 0.0)
    lingers = disguised & (dice.each() < LINGERS)
    share = torch.where(lingers, MOST_LINGERING * share, share)
    other_things, same = (
        films[corpus.disguise[slots.clip], slots.place] for films in (corpus.disguises, corpus.lingering)
    )
    in_shots = torch.where(_spread(lingers), same, other_things)
    wrong = torch.where(_spread(slipped), corpus.slipped[slots.clip, slots.place], in_shots).float()
    return _spread(share) * (wrong - drawn)


def _spread(values: Tensor) -> Tensor:
    """[B, n] over the latents of n chunks, or of all."""
    return values[..., None, None, None, None]
