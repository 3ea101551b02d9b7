"""nano is trained on what the engine runs: the same transformer, text assembly, timesteps and attention
ranges."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from torch import nn

from magi_core.attention.sdpa import sdpa
from magi_core.config import LATENT_SCALE
from magi_core.dit import DiT, TextAttention, WindowAttention
from magi_core.sampling.timesteps import timesteps
from magi_core.story.transitions import transition_ranges
from magi_core.text.conditioning import assemble_null, assemble_text
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES, SpecialTokens, load_special_tokens
from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE
from tools.nano import convolutions
from tools.nano.batches import (
    GUESSED_FROM,
    HEALED_BY,
    KV_TABLE,
    Batch,
    Corpus,
    Films,
    Mix,
    clearest,
    emphasis_on,
    focus_on,
    keep_guesses,
    make_corpus,
    progress_of,
    sample_batch,
    timestep_of,
)
from tools.nano.chunk_attention import flex_mask, sdpa_mask
from tools.nano.export import rows_by_word
from tools.nano.level_balance import LevelBalance
from tools.nano.master import Master
from tools.nano.recipe import TINY_VAE, dit_config
from tools.nano.render import COLOUR_TURN
from tools.nano.scenes import RECOLOUR, REPAINT, REPEAT, Scenes, sample_scenes
from tools.nano.text_model import make_text_model, make_tokenizer, save_special_tokens
from tools.nano.train_vae import Clips, decibels, initialise, load_grown, normalise_latents, reconstruct, train
from tools.nano.training_model import SpecialTable, make_dit, predict, read_text
from tools.nano.vocabulary import CHUNK_FRAMES

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus():
    torch.manual_seed(0)
    scenes = sample_scenes(80, 5)
    latents, disguises, slipped = torch.randn(3, 80, 6, 16, 6, 4, 4)
    disguises = disguises[scenes.new_shot.any(axis=1)]
    films = Films(latents, torch.randn(80, 16, 4, 4), disguises, worn=latents, slipped=slipped)
    return make_corpus(scenes, films, make_tokenizer(), 5)


@pytest.fixture(scope="module")
def batch(corpus) -> Batch:
    return sample_batch(corpus, 96, torch.Generator().manual_seed(3))


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


def test_block_lists_and_dense_masks_show_the_same_keys(batch):
    first = batch.first_key[:8]
    blocks = flex_mask(first, 384).to_dense()[:, 0].bool()
    dense = torch.zeros_like(blocks)
    for slot, seen in enumerate(sdpa_mask(first, 3)):
        dense[:, slot * 3 : slot * 3 + 3, : slot * 3 + 3] = seen[:, 0]
    assert torch.equal(blocks, dense)


@torch.no_grad()
def test_the_training_forward_is_the_engines_forward(batch):
    torch.manual_seed(1)
    config, tokenizer = dit_config(tiny=True), make_tokenizer()
    dit, text_model = make_dit(config, CPU, torch.float32), make_text_model(tokenizer).eval()
    nn.init.normal_(dit.final_linear.linear.weight, std=0.1)
    table, null_rows = SpecialTable(config.caption_channels, CPU).table, dit.y_embedder.null_caption_embedding
    some = Batch(**{name: value[:12] for name, value in batch.tensors().items()})
    one_flag = some.dropped.any(1, keepdim=True).expand(-1, 6)  # the engine's flag is one for a whole forward
    some = Batch(**some.tensors() | {"dropped": one_flag})
    text = read_text(text_model, table, null_rows, some.ids, some.counts, some.prefix, some.null)
    frames = torch.arange(36)
    trained = predict(dit, "sdpa", some.x, some.t, some.dropped, *text, frames, sdpa_mask(some.first_key, 24))

    engine_dit = DiT(config)
    engine_dit.load_state_dict(dit.state_dict())
    special = SpecialTokens(dict(zip(SPECIAL_TOKEN_NAMES, table, strict=True)))
    for i in range(len(some.t)):
        texts = [engine_text(some, i, k, special, null_rows, text_model) for k in range(6)]
        contexts = [engine_dit.text_context(text) for text in texts]
        ranges = [(int(some.first_key[i, k]), k + 1) for k in range(6)]
        sampled = engine_dit(
            some.x[i : i + 1],
            some.t[i : i + 1],
            TextAttention(sdpa, contexts),
            frames=frames,
            attend=WindowAttention(sdpa, ranges),
            dropped=bool(some.dropped[i, 0]),
        )
        assert torch.allclose(sampled[0], trained[i], atol=1e-5)


def engine_text(batch, i, k, special, null_rows, text_model):
    """What `magi_core.text` assembles for slot k of sample i."""
    names = [SPECIAL_TOKEN_NAMES[index] for index in batch.prefix[i, k].tolist() if index >= 0]
    if batch.null[i, k]:
        return assemble_null(null_rows, special, names)
    durations = [int(name[-1]) for name in names if name.startswith("DURATION")]
    ids = batch.ids[i, k, : batch.counts[i, k]][None]
    tokens = text_model(input_ids=ids).last_hidden_state[0]
    return assemble_text(tokens, special, names, durations[0] if durations else None, 64)


def test_levels_with_small_errors_count_more(corpus):
    batch = sample_batch(corpus, 96, torch.Generator().manual_seed(3), Mix(disguised=0.0))
    balance = LevelBalance(CPU, 0.5)
    slots = progress_of(batch.t)
    for _ in range(400):
        balance.update(torch.where(slots < 0.5, 4.0, 0.25), batch)
    weight = balance.weigh(batch).unflatten(1, (6, 6)).amax(2)
    early, late = noisy_slots(batch) & (slots < 0.5), noisy_slots(batch) & (slots >= 0.5)
    weight = weight / batch.weight.unflatten(1, (6, 6)).amax(2).clamp(min=1)
    assert weight[early].max() == pytest.approx(0.5, abs=0.01)
    assert weight[late].max() == pytest.approx(2.0, abs=0.01)


def test_special_tokens_survive_the_official_file(tmp_path):
    table = torch.randn(len(SPECIAL_TOKEN_NAMES), 96)
    save_special_tokens(tmp_path / "special_tokens.npz", table)
    loaded = load_special_tokens(tmp_path / "special_tokens.npz", channels=96)
    for name, row in zip(SPECIAL_TOKEN_NAMES, table, strict=True):
        assert torch.equal(loaded.get(name), row.half().float())


@pytest.mark.parametrize("form", convolutions.FORMS)
def test_every_form_of_the_convolution_is_the_convolution(form):
    torch.manual_seed(2)
    layer = convolutions.Conv3d(4, 3, 3, padding=1)
    layer.form = form
    x = torch.randn(2, 4, 4, 8, 8)
    assert torch.allclose(layer(x), nn.functional.conv3d(x, layer.weight, layer.bias, padding=1), atol=1e-5)
    patches = convolutions.Conv3d(3, 5, (4, 8, 8), stride=(4, 8, 8))
    video = torch.randn(1, 3, 8, 16, 16)
    expected = nn.functional.conv3d(video, patches.weight, patches.bias, stride=(4, 8, 8))
    assert torch.allclose(patches(video), expected, atol=1e-5)


def test_normalising_latents_leaves_the_autoencoder_as_it_was():
    torch.manual_seed(3)
    vae = ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions.LAYERS)
    initialise(vae)
    clips = Clips(4, 1, CPU)
    video = clips.batch(1, 12)
    before = reconstruct(vae, video)
    with torch.no_grad():
        normalise_latents(vae, clips, 1)
        latents = torch.cat([vae.encode(clips.batch(4, 12)) for _ in range(2)]) * LATENT_SCALE
    assert decibels(reconstruct(vae, video), before) > 60
    assert 0.5 < float(latents.std()) < 1.6


def test_going_on_with_the_decoder_leaves_the_latents(tmp_path):
    torch.manual_seed(3)
    vae = ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions.LAYERS)
    initialise(vae)
    before, file = vae.state_dict(), tmp_path / "vae.safetensors"
    save_file(before, file)
    short = {"minutes": 5, "reserve": 0, "steps": 2, "batch": 1, "clips": 4, "lr": 1e-3, "seed": 3, "save_seconds": 60}
    args = Namespace(
        **short,
        init=file,
        anchor=0.0,
        decoder_only=True,
        depth=2,
        dry_run=True,
        compile=False,
        conv=None,
        log_every=100,
    )
    after = train(args, CPU, tmp_path).state_dict()
    assert any(name.startswith("decoder.blocks.1.") for name in set(after) - set(before))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder"}


def test_a_deeper_autoencoder_begins_as_the_one_it_grew_from():
    torch.manual_seed(3)
    made = [ViTVAE(VAEConfig.from_json(TINY_VAE | {"depth": d}), operations=convolutions.LAYERS) for d in (1, 3)]
    for vae in made:
        initialise(vae)
    load_grown(made[1], made[0].state_dict())
    video = torch.randn(1, 3, 12, 128, 128).clamp(-1, 1)
    assert torch.allclose(*(reconstruct(vae, video) for vae in made), atol=1e-5)
    made[1].decode(made[1].encode(video)).square().mean().backward()
    assert all(trunk.blocks[-1].mlp.fc2.weight.grad.any() for trunk in (made[1].encoder, made[1].decoder))


def test_changes_are_seen_more_often_than_chance_has_it():
    clips = Clips(40, 5, CPU, changing=1.0)
    changes = {tuple(row) for row in clips.changes.tolist()}
    seen = []
    clips.draw = lambda sheet, falling, clip, frame: seen.append((clip, frame))
    clips.batch(64, 12)
    (clip, frame), turns = seen[0], COLOUR_TURN[0] + 1
    for i, first in zip(clip.tolist(), frame[:, 0].tolist(), strict=True):
        assert (i, first // CHUNK_FRAMES) in changes
        assert first % CHUNK_FRAMES <= turns < first % CHUNK_FRAMES + 12


def test_a_grown_vocabulary_keeps_what_its_words_meant():
    words, rows, fresh = {"<pad>": 0, "star": 1}, torch.randn(2, 4), torch.randn(3, 4)
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "camera": 1, "star": 2}, unk_token="<pad>"))
    moved = rows_by_word(rows, words, fresh, tokenizer)
    assert torch.equal(moved[[0, 2]], rows)
    assert torch.allclose(moved[1] / moved[1].norm(), fresh[1] / fresh[1].norm())


def test_the_flat_optimiser_learns_and_keeps_an_average():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).bfloat16()
    master = Master(model.named_parameters(), decay=0.0, betas=(0.9, 0.99), ema=0.9, clip=1.0)
    x = torch.randn(64, 4)
    target = x.sum(1, keepdim=True).tanh()

    def loss() -> torch.Tensor:
        return (model(x.bfloat16()).float() - target).square().mean()

    start = float(loss().detach())
    for _ in range(150):
        loss().backward()
        master.step(1e-2)
    assert float(loss().detach()) < 0.3 * start
    averages = master.averaged()
    assert set(averages) == {name for name, _ in model.named_parameters()}
    assert averages["0.weight"].dtype == torch.float32


def test_a_gradient_that_is_not_finite_changes_nothing():
    model = nn.Linear(3, 1)
    master = Master(model.named_parameters(), decay=0.0, betas=(0.9, 0.99), ema=0.9, clip=1.0)
    before = model.weight.detach().clone()
    (model(torch.ones(1, 3)) * float("nan")).sum().backward()
    master.step(1e-2)
    assert torch.equal(model.weight, before)


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


def test_training_goes_on_from_raw_weights_with_the_average_that_there_was():
    torch.manual_seed(0)
    module = nn.Linear(3, 3)
    master = Master(module.named_parameters(), decay=0.0, betas=(0.9, 0.97), ema=0.99, clip=1.0)
    raw = {name: value + 1 for name, value in master.current().items()}
    average = {name: value.clone() for name, value in master.averaged().items()}
    master.go_on_from(raw)
    assert all(torch.equal(parameter, raw[name]) for name, parameter in module.named_parameters())
    module(torch.ones(1, 3)).sum().backward()
    master.step(0.0)
    assert all(torch.allclose(value, average[name] + 0.01, atol=1e-3) for name, value in master.averaged().items())
