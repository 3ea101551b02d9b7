"""Training batches: chunks of drawn clips in six slots, with noise levels, KV ranges and text per slot.

A sample's slots hold one or several videos one after the other ("segments", each from a chunk 0 on), so that
starts of videos are seen at every noise level. What a segment looks like follows the sampler: earlier chunks
are cleaner, clean ones carry null text, and a chunk attends to its own segment only, over the range its noise
level has in the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from magi_core.sampling.timesteps import timesteps
from tools.nano.render import BACKGROUND_TURN, COLOUR_TURN
from tools.nano.scenes import Scenes
from tools.nano.text_model import SPECIAL_INDEX, caption_ids
from tools.nano.vocabulary import CHUNK_FRAMES, CHUNKS, SIZE

CLEAN_T = 0.9999
ROUNDING = 1e-4  # a grid's timestep turned back into progress may fall just short of its quarter
KV_TABLE = (5, 4, 3, 2)
TEXT_LENGTH = 32  # caption tokens, end token included
PREFIX_LENGTH = 6  # special tokens in front of them
PADDED_LENGTH = 56  # of the text a slot reads, a multiple of 8; at most 50 are visible
NULL_LENGTH = 50

SEGMENT_STARTS = 0.22  # chance of every later slot to begin another video
CLEAN_PREFIX = 0.5
PREFIX_NOISE = 0.05
IMAGE_SHARE, PARTIAL_SHARE = 0.15, 0.10
NO_DURATION, NO_HQ, DYNAMIC_SHARE = 0.1, 0.1, 0.15
GUESSED_FROM = 0.2  # timestep from which on the model's guess at a chunk is worth keeping
GUESS_STRENGTH = 1.5  # of what is wrong with a guess, at most
FOCUS, FOCUS_REACH, FOCUS_EDGE = 3.0, 1.3, 8.0  # how much more objects count in the loss; as far as radii and pixels
FOCUS_FROM, FOCUS_BY = 0.3, 0.6  # timesteps of the clearest chunk in sight between which they come to
DISGUISED_FROM, DISGUISED_TO = 0.1, 0.6  # timesteps between which a new shot may show other things
GHOSTS_FROM, GHOSTS_TO = 0.15, 0.6  # timesteps between which what shows a second time, elsewhere, fades out
FAINTEST = 0.5  # strength at least of a thing that is also seen elsewhere, where it is fainter
HEALING_FROM, HEALED_BY = 0.5, 0.9  # timesteps between which what is wrong with a chunk in its last steps fades out
TURNING, TURNED = 3.0, 2.0  # weight in the loss of frames in which something turns, and of the others of their chunk
DISGUISED_WEIGHT = 3.0  # in the loss, of chunks chosen for it, also when nothing else shows any more: they are few


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
    they first see it, as when they came to be alone; what they become is the history's. slipped: chunks after finished
    ones that show worn objects at another speed until the history has told them; what they become is the drawn ones.
    cuts: segments that begin in the middle of a clip. ghosts: chunks that nothing tells where their objects are, first
    ones and new shots, which show them a second time, fainter, elsewhere; what they become is the drawn ones.
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
    ghosts: float = 0.5


BASE_MIX = Mix()


@dataclass(frozen=True, eq=False)
class Corpus:
    """All training clips on one device.

    latents [N, 6, C, 6, h, w] and first [N, C, h, w] (frame 0 as a still image), both scaled. ids [N, 6, 32],
    counts
    [N, 6]. text_prefix, null_prefix [N, 6, 6]: special-token indices, -1 where there is none, foremost first.
    clean, tagged: clip numbers without and with marks that only negative tokens name. new_shot [N, 6]: chunks that do
    not go on from where the one before was. guesses [N, 6, C, 6, h, w]: the model's latest guess at each chunk, the
    drawn one until there is one (see `keep_guesses`). disguises [M, 6, C, 6, h, w]: clips with new shots once
    more, with other things in them; disguise [N]: which of them belongs to a clip, 0 where none does. worn, slipped: as
    latents, of worn objects, and of such at other speeds; elsewhere, empty: of objects at other places, and of what is
    around them alone (all in `wear`). places [N, 6, 6, 2, 3]: x, y and radius of both
    objects in every latent frame, in pixels; far away where there is no second one. emphasis [N, 6, 6]: weight of every
    latent frame in the loss, larger where something changes (`emphasis_on`).
    """

    latents: Tensor
    first: Tensor
    ids: Tensor
    counts: Tensor
    text_prefix: Tensor
    null_prefix: Tensor
    clean: Tensor
    tagged: Tensor
    new_shot: Tensor
    guesses: Tensor
    disguises: Tensor
    disguise: Tensor
    worn: Tensor
    slipped: Tensor
    elsewhere: Tensor
    empty: Tensor
    places: Tensor
    emphasis: Tensor


@dataclass(frozen=True, eq=False)
class Films:
    """Encoded clips as `Corpus` describes them."""

    latents: Tensor
    first: Tensor
    disguises: Tensor
    worn: Tensor
    slipped: Tensor
    elsewhere: Tensor
    empty: Tensor


def token_prefixes(scenes: Scenes, seed: int) -> tuple[Tensor, Tensor]:
    """Special tokens in front of captions and of null text, [N, 6, 6] each; -1 pads at the end."""
    rng = np.random.default_rng([seed, 2])
    n = len(scenes)
    text = np.full((n, CHUNKS, PREFIX_LENGTH), -1)
    null = np.full((n, CHUNKS, PREFIX_LENGTH), -1)
    ahead = rng.integers(7, 17, n)
    named = {
        "TWO_D_ANIME": scenes.style == 2,
        "THREE_D_MODEL": scenes.style == 1,
        "HQ": ~scenes.degraded & (rng.random(n) > NO_HQ),
        "BORDERNESS": scenes.border,
        "DYNAMIC_FIRST_FRAMES": ~scenes.hold & (rng.random(n) < DYNAMIC_SHARE),
        "STATIC_FIRST_FRAMES": scenes.hold,
    }
    negative = {
        "BORDERNESS": scenes.border,
        "TRANS": scenes.fade_in,
        "LOGO": scenes.logo,
        "CAPTION": scenes.bar,
    }
    says_duration = rng.random(n) > NO_DURATION
    for i in range(n):
        front = [SPECIAL_INDEX[name] for name, there in named.items() if there[i]]
        back = [SPECIAL_INDEX[name] for name, there in negative.items() if there[i]]
        for k in range(CHUNKS):
            left = CHUNKS - k if scenes.settle[i] else max(2, min(8, ahead[i] - k))
            row = ([SPECIAL_INDEX[f"DURATION_{left}"]] if says_duration[i] else []) + front
            text[i, k, : len(row)] = row[:PREFIX_LENGTH]
            null[i, k, : len(back)] = back
    return torch.from_numpy(text), torch.from_numpy(null)


def make_corpus(scenes: Scenes, films: Films, tokenizer, seed: int) -> Corpus:
    """The disguises are those of the clips that have new shots, in their order."""
    device = films.latents.device
    ids, counts = caption_ids(tokenizer, scenes.captions, TEXT_LENGTH)
    text, null = token_prefixes(scenes, seed)
    tagged = scenes.bar | scenes.logo | scenes.fade_in
    parts = {
        "ids": ids,
        "counts": counts,
        "text_prefix": text,
        "null_prefix": null,
        "clean": torch.from_numpy(np.flatnonzero(~tagged)),
        "tagged": torch.from_numpy(np.flatnonzero(tagged if tagged.any() else ~tagged)),
        "new_shot": torch.from_numpy(scenes.new_shot),
        "disguise": torch.from_numpy(scenes.new_shot.any(axis=1).cumsum() - 1).clamp(min=0),
    }
    paths = torch.from_numpy(scenes.path).unflatten(2, (CHUNKS, -1, CHUNK_FRAMES // 6)).mean(4)  # N 2 6 6 3
    paths[:, 1, ..., :2] -= torch.from_numpy(1e4 * ~scenes.second).float()[:, None, None, None]
    parts["places"] = paths.permute(0, 2, 3, 1, 4).contiguous()
    parts["emphasis"] = emphasis_on(scenes)
    own = {f.name: getattr(films, f.name) for f in fields(films)} | {"guesses": films.latents.clone()}
    return Corpus(**own, **{name: value.to(device) for name, value in parts.items()})


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


def timestep_of(u: Tensor) -> Tensor:
    """The sampler's timestep at fraction `u` of its steps."""
    square = u.square()
    return square / 3 / (1 - 2 * square / 3)


def progress_of(t: Tensor) -> Tensor:
    """Inverse of `timestep_of`."""
    return (3 * t / (1 + 2 * t)).clamp(0, 1).sqrt()


@torch.no_grad()
def sample_batch(corpus: Corpus, size: int, generator: torch.Generator, mix: Mix = BASE_MIX) -> Batch:
    """A random batch of `size` samples; everything happens on the corpus's device."""
    device = corpus.latents.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    slots = torch.arange(CHUNKS, device=device).expand(size, -1)
    kind = uniform(size, 1)
    null_sample = kind < mix.null + mix.alone
    alone = kind < mix.alone
    range_one = alone | (kind > 1 - mix.range_one)

    starts = uniform(size, CHUNKS) < SEGMENT_STARTS
    starts[:, 0] = True
    first = torch.where(starts, slots, 0).cummax(dim=1).values
    following = torch.where(starts, slots, CHUNKS).roll(-1, 1)
    following[:, -1] = CHUNKS
    end = following.flip(1).cummin(dim=1).values.flip(1)
    length = end - first
    within = slots - first  # which chunk of its segment a slot holds
    cut = (uniform(size, CHUNKS) < mix.cuts).gather(1, first)
    begin = (uniform(size, CHUNKS).gather(1, first) * (CHUNKS - length + 1)).long()
    place = within + torch.where(cut, begin, 0)  # which chunk of its clip

    marked = null_sample & (uniform(size, CHUNKS) < mix.tagged)
    drawn = torch.where(
        marked,
        corpus.tagged[(uniform(size, CHUNKS) * len(corpus.tagged)).long()],
        corpus.clean[(uniform(size, CHUNKS) * len(corpus.clean)).long()],
    )
    clip = drawn.gather(1, first)

    # Noise levels. Clean prefix: some first chunks of a segment, never all of it.
    prefix = torch.where(uniform(size, CHUNKS) < CLEAN_PREFIX, uniform(size, CHUNKS), 0.0).gather(1, first)
    clean = within < (prefix * length).long()
    offset = uniform(size, CHUNKS).gather(1, first)
    if mix.steps:
        per_stage = mix.steps // len(KV_TABLE)
        offset = (offset * per_stage).floor() / per_stage
    if mix.late:
        behind = 1 + (uniform(size, CHUNKS) * (len(KV_TABLE) - 1)).floor()
        offset = offset + torch.where(uniform(size, CHUNKS) < mix.late, behind, 0.0).gather(1, first)
    staggered = (offset + (length - 1 - within)) / len(KV_TABLE)
    clean_staggered = clean | (staggered >= 1)
    logits = torch.randn(size, CHUNKS, device=device, generator=generator)
    sorted_t = torch.sigmoid(logits).sort(dim=1, descending=True).values
    sorted_t = sorted_t / 3 / (1 - 2 * sorted_t / 3)
    use_staggered = uniform(size, 1) < mix.staggered
    t = torch.where(use_staggered, timestep_of(staggered.clamp(max=0.9999)), sorted_t)
    clean = torch.where(use_staggered, clean_staggered, clean)
    if mix.steps:
        grid = timesteps(mix.steps).to(device)
        t = grid[(progress_of(t) * mix.steps).round().long().clamp(max=mix.steps - 1)]

    quarter = (progress_of(t) * len(KV_TABLE) + ROUNDING).long().clamp(max=len(KV_TABLE) - 1)
    reach = torch.tensor(KV_TABLE, device=device)[quarter]
    random_reach = 1 + (uniform(size, CHUNKS) * 5).long()
    reach = torch.where(uniform(size, 1) < mix.random_ranges, random_reach, reach)
    new_shot = corpus.new_shot[clip, place] & (within > 0)  # alone while noisy, as the sampler's "new_shot" has it
    shot_reach = torch.where(quarter < len(KV_TABLE) // 2, 1, torch.tensor(KV_TABLE, device=device)[quarter])
    reach = torch.where(new_shot, shot_reach, reach)
    reach = torch.where(clean | range_one, 1, reach)
    first_key = torch.maximum(first, slots - reach + 1)
    # Before a new shot objects were elsewhere, and without text nothing says where they go.
    begins = torch.where(new_shot | null_sample, slots, 0).cummax(dim=1).values
    shown_from = torch.maximum(first_key, begins)

    # Latents, and what is given of a partly given chunk.
    x0 = corpus.latents[clip, place].float()  # B 6 C 6 h w
    noise = torch.randn(x0.shape, device=device, generator=generator)
    level = torch.where(clean, 1 - PREFIX_NOISE * uniform(size, CHUNKS), t)[..., None, None, None, None]
    guessed = (clean | (quarter == len(KV_TABLE) - 1)) & (uniform(size, 1) < mix.guessed)
    aged = uniform(size, 1) < 0.5
    healing = ((HEALED_BY - t) / (HEALED_BY - HEALING_FROM)).clamp(0, 1)  # what is not healed by then, stays
    strength = torch.where(aged, 1.0, GUESS_STRENGTH) * uniform(size, 1) * torch.where(clean, 1.0, healing)
    strength, aged = (part[..., None, None, None, None] for part in (torch.where(guessed, strength, 0.0), aged))
    as_read = torch.where(aged, corpus.worn[clip, place], corpus.guesses[clip, place]).float()
    ghosts = (new_shot | (within == 0)) & ~clean & (uniform(size, CHUNKS) < mix.ghosts)
    disguised = new_shot & ~clean & ~ghosts & (t >= DISGUISED_FROM) & (uniform(size, CHUNKS) < mix.disguised)
    fading = ((DISGUISED_TO - t) / (DISGUISED_TO - DISGUISED_FROM)).clamp(min=0)
    told = clean.gather(1, first_key) & ~new_shot & ~clean  # by a finished chunk, what it goes on from
    slipped = told & (uniform(size, CHUNKS) < mix.slipped)
    share = torch.where(disguised | slipped, fading * (1 - uniform(size, CHUNKS).square()), 0.0)
    share, other = share[..., None, None, None, None], slipped[..., None, None, None, None]
    wrong = torch.where(other, corpus.slipped[clip, place], corpus.disguises[corpus.disguise[clip], place]).float()
    change = share * (wrong - x0) + strength * (as_read - x0)
    empty, elsewhere = (part[clip, place].float() for part in (corpus.empty, corpus.elsewhere))
    fades = torch.where(ghosts, ((GHOSTS_TO - t) / (GHOSTS_TO - GHOSTS_FROM)).clamp(0, 1), 0.0)
    here = FAINTEST + (1 - FAINTEST) * uniform(size, CHUNKS)
    there = here * uniform(size, CHUNKS)
    fades, here, there = (part[..., None, None, None, None] for part in (fades, here, there))
    change = change + fades * ((1 - here) * (empty - x0) + there * (elsewhere - empty))
    x = level * (x0 + change) + (1 - level) * noise
    target = x0 - noise - level / (1 - level).clamp(min=1 - HEALED_BY) * change  # ends at x0 all the same
    frame = torch.arange(6, device=device)
    earlier_clean = torch.cat([torch.ones(size, 1, dtype=torch.bool, device=device), clean[:, :-1]], dim=1)
    entering = ~clean & ((within == 0) | earlier_clean)
    choice = uniform(size, CHUNKS)
    image = entering & (within == 0) & (place == 0) & (choice < IMAGE_SHARE)
    partial = entering & (choice > 1 - PARTIAL_SHARE)
    given_frames = 1 + (uniform(size, CHUNKS) * 5).long()
    given = (partial[..., None] & (frame < given_frames[..., None])) | (image[..., None] & (frame == 0))
    still = corpus.first[clip][:, :, :, None].float()
    source = torch.where((image[..., None] & (frame == 0))[:, :, None, :, None, None], still, x0)
    x = torch.where(given[:, :, None, :, None, None], source, x)
    fixed = clean[..., None] | given
    # Without text nothing says that something turns.
    emphasis = torch.where(null_sample[..., None], 1.0, corpus.emphasis[clip, place])
    weight = ~fixed * torch.where(disguised | (ghosts & new_shot), DISGUISED_WEIGHT, 1.0)[..., None] * emphasis

    null = null_sample | clean
    prefixes = torch.where(null[..., None], corpus.null_prefix[clip, place], corpus.text_prefix[clip, place])
    ids = corpus.ids[clip, place]
    ids = torch.where((uniform(*ids.shape) < mix.unknown) & (ids > 2), 2, ids)
    # Clean chunks are cached with the dropped flag set; only a text pass right after one is finished meets it
    # cleared.
    return Batch(
        x=x.transpose(1, 2).flatten(2, 3).contiguous(),
        target=target.transpose(1, 2).flatten(2, 3).contiguous(),
        weight=weight.flatten(1, 2),
        fixed=fixed.flatten(1, 2),
        t=torch.where(clean, CLEAN_T, t),
        first_key=first_key,
        dropped=null_sample | (clean & (uniform(size, CHUNKS) < 0.75)),
        ids=ids,
        counts=corpus.counts[clip, place],
        prefix=prefixes,
        null=null,
        chunk=clip * CHUNKS + place,
        focus=focus_on(corpus.places[clip, place], clearest(torch.where(clean, 1.0, t), shown_from), x0.shape[-1]),
        worn=guessed & (clean | (t < HEALED_BY)),
    )


def emphasis_on(scenes: Scenes) -> Tensor:
    """Weights [N, 6, 6] of latent frames: those in which a colour, the background or the weather turns count most, the
    others of their chunk more than usual: that is where a run loses its objects."""
    turns = {
        "colour": (COLOUR_TURN, (scenes.colour_from != scenes.colour_to).any(1)),
        "background": (BACKGROUND_TURN, scenes.background_from != scenes.background_to),
        "weather": (BACKGROUND_TURN, scenes.weather_from != scenes.weather_to),
    }
    within = np.arange(CHUNK_FRAMES).reshape(6, -1)  # latent frame, frame
    weight = np.ones((len(scenes), CHUNKS, 6), dtype=np.float32)
    for (first, length), changes in turns.values():
        turning = ((within >= first) & (within < first + length)).any(1)
        weight = np.maximum(weight, np.where(changes[..., None], np.where(turning, TURNING, TURNED), 1.0))
    return torch.from_numpy(weight.astype(np.float32))


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
