"""Training batches: chunks of drawn clips in six slots (`slots`), with noise, mistakes (`mistakes`) and text."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tools.nano.clips import PREFIX_LENGTH, TEXT_LENGTH, Corpus
from tools.nano.mistakes import HEALED_BY, sample_mistakes
from tools.nano.slots import BASE_MIX, Dice, Levels, Mix, Slots, sample_first_keys, sample_levels, sample_slots
from tools.nano.vocabulary import CHUNKS, SIZE

CLEAN_T = 0.9999
PADDED_LENGTH = 56  # of the text a slot reads, a multiple of 8; at most 50 are visible
NULL_LENGTH = 50
PREFIX_NOISE = 0.05
IMAGE_SHARE, PARTIAL_SHARE = 0.15, 0.10
GUESSED_FROM = 0.2  # timestep from which on the model's guess at a chunk is worth keeping
FOCUS, FOCUS_REACH, FOCUS_EDGE = 3.0, 1.3, 8.0  # how much more objects count in the loss; as far as radii and pixels
FOCUS_FROM, FOCUS_BY = 0.3, 0.6  # timesteps of the clearest chunk in sight between which they come to


@dataclass(frozen=True, eq=False)
class Batch:
    """x [B, C, 36, h, w] noisy latents, target velocity, weight [B, 36] of each frame in the loss, t [B, 6].

    fixed [B, 36]: frames that do not move, because they are clean or given.

    first_key [B, 6]: first slot that each slot attends to (it always ends with itself). dropped [B, 6]: the
    prompt-dropped flag.
    ids, counts: caption tokens [B, 6, 32] and [B, 6]; prefix [B, 6, 6] special tokens; null [B, 6]: null text
    in place of the caption. chunk [B, 6]: which chunk of the corpus a slot holds, clips and chunks counted through.
    focus [B, 36, h, w]: weight in the loss of each place, 1 on average. worn [B, 6]: slots that show what a run makes
    of a chunk in place of the drawn one.
    """

    x: Tensor
    target: Tensor
    weight: Tensor
    fixed: Tensor
    t: Tensor
    first_key: Tensor
    dropped: Tensor
    ids: Tensor
    counts: Tensor
    prefix: Tensor
    null: Tensor
    chunk: Tensor
    focus: Tensor
    worn: Tensor

    def tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def joined(self, other: Batch) -> Batch:
        """Both batches' samples in one."""
        mine, theirs = self.tensors(), other.tensors()
        return Batch(**{name: torch.cat([mine[name], theirs[name]]) for name in mine})


@torch.no_grad()
def sample_batch(corpus: Corpus, size: int, generator: torch.Generator, mix: Mix = BASE_MIX) -> Batch:
    """A random batch of `size` samples; everything happens on the corpus's device."""
    dice = Dice(size, corpus.latents.device, generator)
    slots = sample_slots(corpus, dice, mix)
    levels = sample_levels(slots, dice, mix)
    first_key = sample_first_keys(slots, levels, dice, mix)
    at, clean, t = (slots.clip, slots.place), levels.clean, levels.t

    drawn = corpus.latents[at].float()  # B 6 C 6 h w
    noise = dice.normal(*drawn.shape[1:])
    level = torch.where(clean, 1 - PREFIX_NOISE * dice.each(), t)[..., None, None, None, None]
    mistakes = sample_mistakes(corpus, drawn, slots, levels, first_key, dice, mix)
    x = level * (drawn + mistakes.change) + (1 - level) * noise
    # ends at what was drawn all the same
    target = drawn - noise - level / (1 - level).clamp(min=1 - HEALED_BY) * mistakes.change
    given, frames = sample_given(corpus, drawn, slots, levels, dice)
    x = torch.where(given[:, :, None, :, None, None], frames, x)
    fixed = clean[..., None] | given
    # Without text nothing says that something turns.
    emphasis = torch.where(slots.null_sample[..., None], 1.0, corpus.emphasis[at])

    null = slots.null_sample | clean
    prefixes = torch.where(null[..., None], corpus.null_prefix[at], corpus.text_prefix[at])
    ids = corpus.ids[at]
    ids = torch.where((dice.each(TEXT_LENGTH) < mix.unknown) & (ids > 2), 2, ids)
    # Clean chunks are cached with the dropped flag set; only a text pass right after one is finished meets it
    # cleared.
    dropped = slots.null_sample | (clean & (dice.each() < 0.75))
    return Batch(
        x=x.transpose(1, 2).flatten(2, 3).contiguous(),
        target=target.transpose(1, 2).flatten(2, 3).contiguous(),
        weight=(~fixed * mistakes.weight[..., None] * emphasis).flatten(1, 2),
        fixed=fixed.flatten(1, 2),
        t=torch.where(clean, CLEAN_T, t),
        first_key=first_key,
        dropped=dropped,
        ids=ids,
        counts=corpus.counts[at],
        prefix=prefixes,
        null=null,
        chunk=slots.clip * CHUNKS + slots.place,
        focus=focus_on(corpus.places[at], clearest_in_sight(slots, levels, first_key), drawn.shape[-1]),
        worn=mistakes.worn,
    )


def sample_given(corpus: Corpus, drawn: Tensor, slots: Slots, levels: Levels, dice: Dice) -> tuple[Tensor, Tensor]:
    """Latent frames [B, 6, 6] of noisy chunks that are given, an image or some first ones, and all of the latents that
    they are taken from."""
    frame = torch.arange(6, device=drawn.device)
    before = torch.cat([torch.ones_like(levels.clean[:, :1]), levels.clean[:, :-1]], dim=1)
    entering = ~levels.clean & ((slots.within == 0) | before)
    choice = dice.each()
    image = entering & (slots.within == 0) & (slots.place == 0) & (choice < IMAGE_SHARE)
    partial = entering & (choice > 1 - PARTIAL_SHARE)
    some = 1 + (dice.each() * 5).long()
    first_frame = image[..., None] & (frame == 0)
    still = corpus.first[slots.clip][:, :, :, None].float()
    frames = torch.where(first_frame[:, :, None, :, None, None], still, drawn)
    return (partial[..., None] & (frame < some[..., None])) | first_frame, frames


def clearest_in_sight(slots: Slots, levels: Levels, first_key: Tensor) -> Tensor:
    """Timestep [B, 6] of the clearest chunk that shows a slot where its objects are: before a new shot they were
    elsewhere, and without text nothing says where they go."""
    own = slots.first + slots.within
    begins = torch.where(slots.new_shot | slots.null_sample, own, 0).cummax(dim=1).values
    return clearest(torch.where(levels.clean, 1.0, levels.t), torch.maximum(first_key, begins))


def clearest(t: Tensor, first_key: Tensor) -> Tensor:
    """Timestep [B, 6] of the clearest chunk from `first_key` to each slot, itself included; t, first_key [B, 6]."""
    slots = torch.arange(CHUNKS, device=t.device)
    seen = (slots >= first_key[..., None]) & (slots <= slots[:, None])  # B, slot, what it sees
    return torch.where(seen, t[:, None], 0.0).amax(2)


def focus_on(places: Tensor, clearest: Tensor, grid: int) -> Tensor:
    """Weights [B, 36, grid, grid], 1 on average, larger at and around objects; places [B, 6, 6, 2, 3] in pixels.

    clearest [B, 6]: timestep of the clearest chunk that a slot sees. Where nothing shows yet where objects are, all
    places weigh the same: a velocity is a mean over what may be there, and a weight that knows which it is draws that
    mean to objects. Small ones came out big.
    """
    axis = (torch.arange(grid, device=places.device) + 0.5) * (SIZE / grid)
    x, y, radius = (part[..., None, None] for part in places.unbind(-1))  # B 6 6 2 1 1
    distance = torch.hypot(axis - x, axis[:, None] - y)
    near = ((FOCUS_REACH * radius + FOCUS_EDGE - distance) / FOCUS_EDGE).clamp(0, 1).amax(3)
    shown = ((clearest - FOCUS_FROM) / (FOCUS_BY - FOCUS_FROM)).clamp(0, 1)
    weight = (1 + FOCUS * shown[..., None, None, None] * near).flatten(1, 2)
    return weight / weight.mean()


@torch.no_grad()
def keep_guesses(corpus: Corpus, batch: Batch, velocity: Tensor) -> None:
    """Remember what the model would make of the batch's chunks, x + (1 - t) v, for histories in later batches.

    Kept are chunks with text, with the history they go on from, from `GUESSED_FROM` on: the object is at its drawn
    place there, and what is wrong is what the model gets wrong. velocity: as `batch.x`. In place in `corpus.guesses`.
    """
    clips, slots = corpus.guesses.flatten(0, 1), torch.arange(CHUNKS, device=velocity.device)
    frames = batch.x.shape[2] // CHUNKS
    remaining = (1 - batch.t).repeat_interleave(frames, dim=1) * ~batch.fixed
    guess = batch.x + remaining[:, None, :, None, None] * velocity
    guess = guess.unflatten(2, (CHUNKS, frames)).transpose(1, 2)  # B 6 C 6 h w
    drawn = (batch.weight.unflatten(1, (CHUNKS, frames)).amax(2) > 0) & ~batch.worn  # not made from a guess, not clean
    begins = batch.chunk % CHUNKS == 0
    kept = drawn & ~batch.null & (batch.t >= GUESSED_FROM) & (begins | (batch.first_key < slots))
    guess = torch.where(kept[..., None, None, None, None], guess, clips[batch.chunk])
    clips[batch.chunk] = guess.to(clips.dtype)


def assemble(
    captions: Tensor, counts: Tensor, prefix: Tensor, null: Tensor, special: Tensor, null_embedding: Tensor
) -> tuple[Tensor, Tensor]:
    """What each slot reads, [M, 56, C], and which positions are visible, [M, 56]: `magi_core.text`'s
    assembly, batched.

    captions: T5 output [M, 32, C]; counts [M]; prefix [M, 6]; null [M]; special [S, C]; null_embedding [64,
    C].
    """
    position = torch.arange(PADDED_LENGTH, device=captions.device)[None]
    ahead = (prefix >= 0).sum(1, keepdim=True)
    behind = position - ahead
    index = behind.clamp(0, TEXT_LENGTH - 1)[..., None].expand(-1, -1, captions.shape[-1])
    words = captions.gather(1, index)
    empty = null_embedding[behind.clamp(0, NULL_LENGTH - 1)]
    tokens = special[prefix.clamp(min=0)]
    front = tokens.gather(1, position.clamp(max=PREFIX_LENGTH - 1)[..., None].expand(len(prefix), -1, tokens.shape[-1]))
    text = torch.where(null[:, None, None], empty, words)
    text = torch.where((position < ahead)[..., None], front, text)
    visible = torch.where(null[:, None], position < NULL_LENGTH, position < ahead + counts[:, None])
    return text, visible
