"""What a training batch shows, asks for and weighs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from magi_core.sampling.timesteps import timesteps
from magi_core.story.transitions import transition_ranges
from tools.nano.batches import GUESSED_FROM, Batch, clearest, focus_on, keep_guesses, sample_batch
from tools.nano.clips import Corpus, emphasis_on
from tools.nano.level_balance import LevelBalance
from tools.nano.mistakes import HEALED_BY
from tools.nano.scenes import RECOLOUR, REPAINT, REPEAT, Scenes, sample_scenes
from tools.nano.slots import KV_TABLE, Mix, progress_of, timestep_of


def noisy_slots(batch: Batch) -> torch.Tensor:
    return batch.t < 0.9999


def test_timesteps_are_the_samplers():
    assert torch.allclose(timestep_of(torch.linspace(0, 1, 17)), timesteps(16), atol=1e-6)
    assert torch.allclose(progress_of(timesteps(16)), torch.linspace(0, 1, 17), atol=1e-4)


def test_earlier_chunks_are_cleaner_and_clean_ones_read_null_text(batch):
    noisy = noisy_slots(batch)
    assert batch.null[~noisy].all()
    connected = batch.first_key[:, 1:] < torch.arange(1, 6)  # reads the slot before it: the same video
    assert (batch.t[:, :-1] >= batch.t[:, 1:])[connected].all()
    assert (batch.first_key == torch.arange(6))[~noisy].all()  # clean chunks attend to themselves
    assert not batch.weight.unflatten(1, (6, 6))[~noisy].any()  # and have no loss


def test_every_quarter_of_the_sampler_is_trained(batch):
    quarter = (progress_of(batch.t[noisy_slots(batch)]) * len(KV_TABLE)).long().clamp(max=3)
    assert torch.bincount(quarter, minlength=4).min() > 0.1 * len(quarter)


def test_new_shots_see_nothing_while_noisy_and_what_the_sampler_shows_later(corpus):
    everywhere = replace(corpus, new_shot=torch.ones_like(corpus.new_shot))
    batch = sample_batch(everywhere, 256, torch.Generator().manual_seed(3))
    reach = torch.arange(6) - batch.first_key + 1
    quarter = (progress_of(batch.t) * len(KV_TABLE) + 1e-4).long().clamp(max=3)
    noisy = noisy_slots(batch)
    assert (reach[noisy & (quarter < 2)] == 1).all()
    late = [reach[noisy & (quarter == q)] for q in (2, 3)]
    assert [int(r.max()) for r in late] == list(transition_ranges("new_shot", KV_TABLE)[2:])


def frames_of(per_slot: torch.Tensor) -> torch.Tensor:
    return per_slot.repeat_interleave(6, dim=1)


def own(corpus: Corpus) -> Corpus:
    return replace(corpus, guesses=corpus.latents.clone())


def test_guesses_stand_in_for_chunks_that_are_read(corpus):
    wrong = replace(corpus, guesses=corpus.latents + 1, worn=corpus.latents + 1)
    mix = Mix(guessed=1.0, slipped=0.0)
    drawn, guessed = (sample_batch(c, 96, torch.Generator().manual_seed(4), mix) for c in (corpus, wrong))
    last = (progress_of(drawn.t) >= 0.75 - 1e-4) & (drawn.t < HEALED_BY)
    read = ~noisy_slots(drawn) | last
    moved = (guessed.x - drawn.x).abs().amax((1, 3, 4))  # B frames
    given = drawn.fixed & frames_of(noisy_slots(drawn))
    assert ((moved > 0) == (frames_of(read) & ~given)).all()
    assert moved.max() <= 1.5 + 1e-4
    assert torch.equal(guessed.worn, read)
    assert not guessed.weight[frames_of(~noisy_slots(drawn))].any()
    assert torch.equal(guessed.weight, drawn.weight)
    without = sample_batch(wrong, 96, torch.Generator().manual_seed(4), Mix(guessed=0.0, slipped=0.0))
    assert torch.equal(
        without.x, sample_batch(corpus, 96, torch.Generator().manual_seed(4), Mix(guessed=0.0, slipped=0.0)).x
    )


def test_a_worn_chunk_in_its_last_steps_becomes_the_drawn_one(corpus):
    wrong = replace(corpus, guesses=corpus.latents + 1, worn=corpus.latents - 1)
    mix = Mix(guessed=1.0, disguised=1.0, slipped=1.0)
    drawn, worn = (sample_batch(c, 256, torch.Generator().manual_seed(4), mix) for c in (corpus, wrong))
    heals = frames_of(worn.worn & noisy_slots(worn)) & ~worn.fixed
    assert heals.any() and worn.weight[heals].all()
    heals = heals[:, None, :, None, None].expand_as(worn.x)
    left = frames_of(1 - worn.t)[:, None, :, None, None]
    ends = [batch.x + left * batch.target for batch in (drawn, worn)]
    assert torch.allclose(ends[0][heals], ends[1][heals], atol=1e-3)
    assert (worn.target - drawn.target)[heals].abs().max() < 2  # never thrown about by the last bit of noise


def test_frames_in_which_something_turns_count_most(corpus):
    scenes = sample_scenes(200, 6)
    weight = emphasis_on(scenes)
    recolours = np.flatnonzero((scenes.event == RECOLOUR).ravel() & ~changes_elsewhere(scenes))
    assert torch.equal(weight.flatten(0, 1)[recolours].unique(dim=0), torch.tensor([[2.0, 3, 3, 2, 2, 2]]))
    repaints = np.flatnonzero((scenes.event == REPAINT).ravel())
    assert torch.equal(weight.flatten(0, 1)[repaints].unique(dim=0), torch.tensor([[3.0, 3, 3, 3, 2, 2]]))
    same = (scenes.event == REPEAT).ravel() & ~changes_elsewhere(scenes)
    assert (weight.flatten(0, 1)[np.flatnonzero(same)] == 1).all()
    batch = sample_batch(corpus, 64, torch.Generator().manual_seed(5), Mix(null=0.0, alone=0.0, disguised=0.0))
    free = ~batch.fixed
    clip, place = batch.chunk // 6, batch.chunk % 6
    assert torch.equal(batch.weight[free], corpus.emphasis[clip, place].flatten(1)[free])


def changes_elsewhere(scenes: Scenes) -> np.ndarray:
    """Chunks [N * 6] in which the background or the weather changes, whatever their event."""
    sky = (scenes.weather_from != scenes.weather_to) | (scenes.background_from != scenes.background_to)
    return sky.ravel()


def test_new_shots_in_disguise_become_what_the_history_shows(corpus):
    plain = Mix(guessed=0.0, disguised=0.0, slipped=0.0, cuts=0.0)
    mix = replace(plain, disguised=1.0)
    drawn, disguised = (sample_batch(corpus, 256, torch.Generator().manual_seed(6), m) for m in (plain, mix))
    other = (disguised.x != drawn.x).unflatten(2, (6, 6)).any(4).any(4).any(3).any(1)  # B 6
    clip, place = drawn.chunk // 6, drawn.chunk % 6
    seen = corpus.new_shot[clip, place] & (place > 0) & (drawn.t >= 0.1) & (drawn.t < 0.6)
    free = ~drawn.fixed.unflatten(1, (6, 6)).all(2)
    assert torch.equal(other, seen & free) and other.any()
    chosen = (corpus.new_shot[clip, place] & (place > 0) & (drawn.t >= 0.1))[..., None]
    weights = [batch.weight.unflatten(1, (6, 6)) for batch in (drawn, disguised)]
    assert torch.equal(weights[1], torch.where(chosen, 3 * weights[0], weights[0]))
    left = frames_of(1 - drawn.t)[:, None, :, None, None]
    ends = [batch.x + left * batch.target for batch in (drawn, disguised)]
    moving = ~drawn.fixed[:, None, :, None, None].expand_as(drawn.x)
    assert torch.allclose(ends[0][moving], ends[1][moving], atol=1e-4)


def test_some_new_shots_show_what_they_are_fainter_and_where_the_shot_before_ended_too(corpus):
    nothing = {name: torch.zeros_like(getattr(corpus, name)) for name in ("latents", "first", "disguises", "lingering")}
    here, behind = nothing["latents"].clone(), nothing["lingering"].clone()
    here[:, :, 0], behind[:, :, 1] = 1.0, 1.0  # a channel each
    mix = Mix(guessed=0.0, disguised=1.0, slipped=0.0, cuts=0.0)
    noise, shown = (
        sample_batch(replace(corpus, **parts), 256, torch.Generator().manual_seed(6), mix)
        for parts in (nothing, nothing | {"latents": here, "lingering": behind})
    )
    there = ((shown.x - noise.x)[:, 1].mean((2, 3)) > 1e-3) & ~shown.fixed
    level = frames_of(shown.t)[there]
    drawn, lingers = ((shown.x - noise.x)[:, i].mean((2, 3))[there] / level for i in (0, 1))
    assert there.any() and torch.allclose(drawn + lingers, torch.ones_like(drawn), atol=1e-3)
    assert float(drawn.min()) > 0.29 and float(lingers.max()) > 0.5
    assert not there.unflatten(1, (6, 6)).any(2)[~corpus.new_shot.flatten()[shown.chunk]].any()


def test_a_right_velocity_guesses_the_drawn_chunk(corpus):
    corpus = own(corpus)
    batch = sample_batch(corpus, 96, torch.Generator().manual_seed(5), Mix(guessed=0.0, slipped=0.0))
    keep_guesses(corpus, batch, batch.target)
    given = batch.fixed & frames_of(noisy_slots(batch))
    slots = ~given.unflatten(1, (6, 6)).any(2)  # an image's frame is not the drawn video's
    slots &= torch.bincount(batch.chunk.flatten())[batch.chunk] == 1
    kept = corpus.guesses.flatten(0, 1)[batch.chunk[slots]], corpus.latents.flatten(0, 1)[batch.chunk[slots]]
    assert torch.allclose(*kept, atol=1e-4)


def test_cuts_begin_in_the_middle_of_a_clip_and_see_nothing_before(corpus):
    batch = sample_batch(corpus, 256, torch.Generator().manual_seed(7), Mix(cuts=1.0, guessed=0.0))
    place = batch.chunk % 6
    alone = batch.first_key == torch.arange(6)
    goes_on = (batch.chunk[:, 1:] == batch.chunk[:, :-1] + 1) & (place[:, 1:] > 0)
    begins = torch.cat([torch.ones(256, 1, dtype=torch.bool), ~goes_on], dim=1)
    assert alone[begins].all() and (place[begins] > 0).float().mean() > 0.3
    sees_across = torch.stack([begins[:, k] & (batch.first_key[:, k:] < k).any(1) for k in range(1, 6)], 1)
    assert not sees_across.any()
    without = sample_batch(corpus, 256, torch.Generator().manual_seed(7), Mix(cuts=0.0))
    assert (without.chunk % 6 <= torch.arange(6)).all()


def test_guesses_are_kept_of_chunks_with_text_history_and_little_noise(corpus):
    corpus = own(corpus)
    batch = sample_batch(corpus, 96, torch.Generator().manual_seed(5), Mix(guessed=0.5))
    keep_guesses(corpus, batch, batch.target + 1)
    changed = (corpus.guesses != corpus.latents).flatten(2).any(2).flatten()[batch.chunk]
    first = batch.chunk % 6 == 0
    reads = first | (batch.first_key < torch.arange(6))
    learned = batch.weight.unflatten(1, (6, 6)).any(2)
    good = ~batch.null & (batch.t >= GUESSED_FROM) & noisy_slots(batch) & reads & learned & ~batch.worn
    once = torch.bincount(batch.chunk.flatten())[batch.chunk] == 1
    assert torch.equal(changed[once], good[once])
    assert good.any()


def test_levels_with_small_errors_count_more(corpus):
    batch = sample_batch(corpus, 96, torch.Generator().manual_seed(3), Mix(disguised=0.0))
    balance = LevelBalance(torch.device("cpu"), 0.5)
    slots = progress_of(batch.t)
    for _ in range(400):
        balance.update(torch.where(slots < 0.5, 4.0, 0.25), batch)
    weight = balance.weigh(batch).unflatten(1, (6, 6)).amax(2)
    early, late = noisy_slots(batch) & (slots < 0.5), noisy_slots(batch) & (slots >= 0.5)
    weight = weight / batch.weight.unflatten(1, (6, 6)).amax(2).clamp(min=1)
    assert weight[early].max() == pytest.approx(0.5, abs=0.01)
    assert weight[late].max() == pytest.approx(2.0, abs=0.01)


def test_chunks_that_slipped_become_what_the_history_says(corpus):
    plain = Mix(guessed=0.0, disguised=0.0, slipped=0.0)
    drawn, slipped = (
        sample_batch(corpus, 256, torch.Generator().manual_seed(8), m) for m in (plain, replace(plain, slipped=1.0))
    )
    other = (slipped.x != drawn.x).unflatten(2, (6, 6)).any(4).any(4).any(3).any(1)  # B 6
    told = (drawn.t.gather(1, drawn.first_key) >= 0.9999) & noisy_slots(drawn)
    assert other.any() and not (other & ~told).any()
    assert not other[drawn.t >= 0.6].any()
    left = frames_of(1 - drawn.t)[:, None, :, None, None]
    ends = [batch.x + left * batch.target for batch in (drawn, slipped)]
    moving = ~drawn.fixed[:, None, :, None, None].expand_as(drawn.x)
    assert torch.allclose(ends[0][moving], ends[1][moving], atol=1e-4)
    assert torch.equal(slipped.weight, drawn.weight)


def test_objects_count_more_than_what_is_around_them_once_something_shows_where_they_are():
    places = torch.tensor([[32.0, 32.0, 20.0], [-9999.0, -9999.0, 20.0]]).expand(1, 6, 6, 2, 3)
    focus = focus_on(places, torch.tensor([[1.0, 0.6, 0.45, 0.3, 0.1, 0.0]]), 16).unflatten(1, (6, 6))
    assert abs(float(focus.mean()) - 1) < 1e-5
    ratio = focus[0, :, 0, 4, 4] / focus[0, :, 0, 15, 15]
    assert torch.allclose(ratio, torch.tensor([4.0, 4.0, 2.5, 1.0, 1.0, 1.0]))


def unfocused(corpus: Corpus, mix: Mix) -> bool:
    """Whether chunks that read finished ones, and show little themselves yet, have the same weight everywhere."""
    batch = sample_batch(corpus, 256, torch.Generator().manual_seed(5), mix)
    spread = batch.focus.unflatten(1, (6, 6)).std(dim=(2, 3, 4))
    reads = (batch.first_key < torch.arange(6)) & (batch.t < 0.3)
    assert reads.sum() > 20
    return float(spread[reads].max()) == 0


def test_finished_chunks_do_not_show_where_the_objects_of_a_new_shot_are(corpus):
    shots = replace(corpus, new_shot=torch.ones_like(corpus.new_shot))
    assert unfocused(shots, Mix(range_one=0.0, random_ranges=0.0))


def test_finished_chunks_do_not_show_where_objects_go_that_no_text_moves(corpus):
    assert unfocused(corpus, Mix(null=1.0, alone=0.0, range_one=0.0, random_ranges=0.0))
    assert not unfocused(corpus, Mix(null=0.0, alone=0.0, range_one=0.0, random_ranges=0.0))


def test_what_no_text_tells_counts_as_everything_else(corpus):
    turning = replace(corpus, emphasis=torch.full_like(corpus.emphasis, 3.0))
    for share, most in ((1.0, 1.0), (0.0, 3.0)):
        mix = Mix(null=share, alone=0.0, range_one=0.0, random_ranges=0.0, disguised=0.0)
        assert float(sample_batch(turning, 64, torch.Generator().manual_seed(6), mix).weight.max()) == most


def test_the_clearest_chunk_in_sight_is_no_other_shot_and_none_behind():
    t = torch.tensor([[1.0, 0.5, 0.2, 0.7, 0.3, 0.1]])
    first_key = torch.tensor([[0, 0, 2, 3, 3, 5]])
    assert clearest(t, first_key).tolist() == [pytest.approx([1.0, 1.0, 0.2, 0.7, 0.7, 0.1])]
