"""nano's drawn world: deterministic, inside its walls, described truthfully, and readable by the analyser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from magi_core.text.cleaning import prepare_caption
from tools.nano.analyser import action_of, latent_motion_ratio, measure
from tools.nano.corpus import training_scenes
from tools.nano.render import background_images, draw, make_sheet, to_uint8
from tools.nano.scenery import HORIZON, PERIOD, looks, paint_scenery, weather_covers
from tools.nano.scenes import NEAR, OUTSIDE, sample_scenes, size_name, with_other_things
from tools.nano.text_model import UNKNOWN, caption_ids, make_tokenizer
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CHUNK_FRAMES,
    COLOUR_NAMES,
    DIRECTIONS,
    FRAMES,
    OUTDOORS,
    RADII,
    SHAPES,
    SIZE,
    SIZE_BOUNDARY,
    WEATHERS,
    held_out_triples,
)
from tools.nano.wear import at_other_speeds, lingering, sample_wear, swollen


def test_the_same_seed_draws_the_same_clips():
    one, two, other = sample_scenes(20, 5), sample_scenes(20, 5), sample_scenes(20, 6)
    assert np.array_equal(one.path, two.path) and one.captions == two.captions
    assert not np.array_equal(one.path, other.path)
    falling = weather_covers()
    clip, frame = torch.tensor([3]), torch.arange(4)[None]
    assert torch.equal(draw(make_sheet(one), falling, clip, frame), draw(make_sheet(two), falling, clip, frame))


def test_objects_stay_inside_the_picture_and_jump_in_new_shots_only():
    scenes = sample_scenes(400, 7)
    x, y = scenes.path[..., 0], scenes.path[..., 1]
    assert x.min() > 5 and y.min() > 5 and x.max() < SIZE - 5 and y.max() < SIZE - 5
    steps = np.linalg.norm(np.diff(scenes.path[:, 0, :, :2], axis=1), axis=-1)
    across = np.zeros(steps.shape, dtype=bool)
    across[:, CHUNK_FRAMES - 1 :: CHUNK_FRAMES] = scenes.new_shot[:, 1:]
    assert steps[~across].max() < 6  # a hop's fastest frame moves 4.3 pixels; a wall may add the shrinking room's width
    assert np.median(steps[across]) > SIZE / 3 and 0.1 < scenes.new_shot.mean() < 0.22
    assert not sample_scenes(50, 7, plain=True).new_shot.any()


def test_the_same_film_with_other_things_in_it():
    scenes = sample_scenes(200, 7)
    other = with_other_things(scenes, 7)
    assert np.array_equal(other.path[..., :2], scenes.path[..., :2])
    assert np.array_equal(other.path[:, 1], scenes.path[:, 1])
    assert np.array_equal(other.shape[:, 1], scenes.shape[:, 1])
    begins, shows = scenes.path[:, 0, 0, 2], other.path[:, 0, 0, 2]
    assert 0.5 < ((begins < SIZE_BOUNDARY) != (shows < SIZE_BOUNDARY)).mean() < 0.7
    assert (other.colour_from[:, 0] != scenes.colour_from[:, 0]).all()
    steps = (other.colour_to[:, 0] - scenes.colour_to[:, 0]) % 8
    assert (steps == steps[:, :1]).all()  # the same change all along: what turns colour goes on doing so
    assert 0.7 < (other.shape[:, 0] != scenes.shape[:, 0]).mean() < 0.9
    assert 0.5 < (other.background_to != scenes.background_to).mean() < 0.7


def test_half_of_the_clips_or_more_are_outdoors_and_only_those_have_weather_and_a_camera():
    scenes = sample_scenes(600, 7)
    outdoors = OUTSIDE[scenes.background_to]
    assert outdoors.mean() > 0.5
    assert not scenes.weather_to[~outdoors].any() and not scenes.camera[~outdoors].any()
    assert set(np.unique(scenes.weather_to)) == {0, 1, 2} and set(np.unique(scenes.camera)) == {0, 1, 2, 3, 4}
    plain = sample_scenes(100, 7, plain=True)
    assert not plain.weather_to.any() and not plain.camera.any() and (plain.view == [0, 1]).all()


def test_a_third_of_the_clips_have_two_objects_and_speeds_reach_from_slow_to_fast():
    scenes = sample_scenes(600, 7)
    assert scenes.second.mean() >= 1 / 3
    steps = np.linalg.norm(np.diff(scenes.path[:, 0, :CHUNK_FRAMES, :2], axis=1), axis=-1)
    speeds = np.median(steps, axis=1)[scenes.action[:, 0, 0] < 4]
    assert 0.45 < speeds.min() < 0.6 and 1.25 < speeds.max() < 1.4


def test_what_falls_and_how_the_camera_moves_is_said_and_goes_on_until_it_ends():
    scenes = sample_scenes(300, 7)
    for i, clip in enumerate(scenes.captions):
        for k, caption in enumerate(clip):
            falls, words = WEATHERS[scenes.weather_to[i, k]], caption.replace(",", " ").split()
            if scenes.full[i, k]:
                assert {"rain", "snow"} & set(words) == {falls} - {"clear"}, caption
                assert ("camera" in caption) == (scenes.camera[i, k] > 0), caption
            elif k and not {"rain", "snow"} & set(words) and OUTSIDE[scenes.background_to[i, k]]:
                assert scenes.weather_to[i, k] == scenes.weather_to[i, k - 1], caption


def test_the_camera_moves_the_ground_faster_than_what_lies_behind_it():
    at = torch.tensor([[0.0, 1.0], [16.0, 1.0], [PERIOD, 1.0]])
    day = looks()[BACKGROUNDS.index("day")].expand(3, -1)
    rest, panned, around = paint_scenery(day, at)
    assert torch.allclose(rest, around, atol=1e-4)
    ground, sky = rest[:, HORIZON:], rest[:, :HORIZON]
    assert torch.allclose(panned[:, HORIZON:, :100], ground[:, :, 16:116], atol=1e-4)
    assert torch.allclose(panned[:, :HORIZON, :100], sky[:, :, 8:108], atol=1e-4)
    studio = looks()[BACKGROUNDS.index("gray")].expand(3, -1)
    assert torch.equal(*paint_scenery(studio, at)[:2])


def test_zooming_in_makes_the_scenery_larger_and_the_horizon_stays():
    day = looks()[BACKGROUNDS.index("day")].expand(2, -1)
    far, near = paint_scenery(day, torch.tensor([[0.0, 1.0], [0.0, NEAR]]))
    green = [(picture[1] > picture[2]).float() for picture in (far, near)]
    assert green[0][HORIZON:].all() and green[1][HORIZON:].all()
    hills = [picture[:HORIZON].sum() for picture in green]
    assert 1.2 < hills[1] / hills[0] < 1.6


def test_rain_looks_the_same_in_every_latent_frame_and_snow_falls_slowly():
    rain, snow = weather_covers()
    assert len(rain) == 4 and len(snow) == 32
    assert torch.allclose(rain[1].roll(8, 0), rain[2], atol=1e-4)
    assert torch.allclose(snow[5].roll(2, 0), snow[6], atol=1e-4)


def test_captions_consist_of_known_words_and_survive_the_prompt_cleaning():
    tokenizer = make_tokenizer()
    captions = {caption for clip in sample_scenes(300, 8).captions for caption in clip}
    for caption in captions:
        tokens = tokenizer.encode(prepare_caption(caption), add_special_tokens=False).tokens
        assert UNKNOWN not in tokens, caption
        assert tokens == tokenizer.encode(caption, add_special_tokens=False).tokens


def test_no_training_caption_names_a_held_out_combination():
    table, scenes = held_out_triples(), sample_scenes(1500, 9)
    named = table[scenes.shape[:, :, None], scenes.colour_to, scenes.action]
    named[:, 1] &= scenes.second[:, None]
    assert not (named.any(axis=1) & scenes.full).any()


def test_held_out_clips_start_with_a_held_out_combination():
    table, scenes = held_out_triples(), sample_scenes(200, 9, plain=True, held_out=True, alone=True)
    hits = table[scenes.shape[:, 0], scenes.colour_from[:, 0, 0], scenes.action[:, 0, 0]]
    assert hits.mean() > 0.97  # a few positions allow no held-out action


def test_token_ids_end_with_the_end_token():
    tokenizer = make_tokenizer()
    ids, counts = caption_ids(tokenizer, [["it stops", "a big red circle moves left on white"]], 32)
    assert ids.shape == (1, 2, 32) and counts.tolist() == [[3, 9]]
    assert ids[0, 0, 2] == tokenizer.token_to_id("</s>") and ids[0, 0, 3] == 0


@pytest.fixture(scope="module")
def drawn():
    scenes = sample_scenes(18, 12, plain=True, alone=True)
    sheet, falling = make_sheet(scenes), weather_covers()
    frame = torch.arange(CHUNK_FRAMES)[None]
    return scenes, [to_uint8(draw(sheet, falling, torch.tensor([i]), frame))[0] for i in range(18)]


def test_the_analyser_reads_drawn_clips_without_an_error(drawn):
    scenes, videos = drawn
    for i, video in enumerate(videos):
        track = measure(video)
        assert track.colour == COLOUR_NAMES[scenes.colour_from[i, 0, 0]]
        assert track.shape == SHAPES[scenes.shape[i, 0]]
        assert track.background_name == BACKGROUNDS[scenes.background_from[i, 0]]
        action = ACTIONS[scenes.action[i, 0, 0]]
        steps = np.diff(scenes.path[i, 0, :CHUNK_FRAMES, :2], axis=0)
        turned_by_a_wall = action in DIRECTIONS and (np.abs(np.diff(np.sign(steps), axis=0)) > 1).any()
        assert action_of(track) == action or turned_by_a_wall
        if action not in ("grow", "shrink"):
            assert track.size == size_name(float(scenes.path[i, 0, 0, 2]))


def test_the_analyser_notices_four_equal_frames_per_latent_frame(drawn):
    _, videos = drawn
    true = torch.stack([measure(video).centre for video in videos])
    frozen = torch.stack([measure(video[::4].repeat_interleave(4, dim=0)).centre for video in videos])
    assert latent_motion_ratio(true, true) == pytest.approx(1.0)
    assert abs(latent_motion_ratio(frozen, true)) < 0.01


def test_the_analyser_sees_nothing_where_nothing_is():
    blank = to_uint8(background_images()[None, 0, :, None].expand(-1, -1, CHUNK_FRAMES, -1, -1) * 2 - 1)[0]
    track = measure(blank)
    assert action_of(track) == "lost" and not track.seen


def test_every_frame_of_a_clip_can_be_drawn_alone():
    scenes = sample_scenes(3, 4)
    sheet, falling = make_sheet(scenes), weather_covers()
    together = draw(sheet, falling, torch.tensor([1]), torch.tensor([[0, 50, FRAMES - 1]]))
    apart = draw(sheet, falling, torch.tensor([1]), torch.tensor([[50]]))
    assert torch.allclose(together[:, :, 1:2], apart, atol=1e-6)


def test_seconds_at_other_speeds_go_on_from_where_the_drawn_ones_end():
    scenes = sample_scenes(200, 4)
    other = at_other_speeds(scenes, 4)
    assert np.array_equal(other.path[:, :, :CHUNK_FRAMES, :2], scenes.path[:, :, :CHUNK_FRAMES, :2])
    begins = np.linalg.norm(other.path[:, 0, CHUNK_FRAMES, :2] - scenes.path[:, 0, CHUNK_FRAMES - 1, :2], axis=-1)
    steady = scenes.action[:, 0, 1] < 4
    assert begins[steady & ~scenes.new_shot[:, 1]].max() < 1.5
    ends = np.abs(other.path - scenes.path)[:, 0, 2 * CHUNK_FRAMES - 1, :2].max(axis=-1)
    assert np.median(ends[steady]) > 3
    assert np.median(ends[scenes.action[:, 0, 1] == ACTIONS.index("still")]) == 0


def test_new_shots_that_linger_go_on_from_where_the_shot_before_ended():
    scenes = sample_scenes(200, 4)
    other = lingering(scenes, 4)
    begins = np.linalg.norm(
        other.path[:, 0, CHUNK_FRAMES::CHUNK_FRAMES, :2] - scenes.path[:, 0, CHUNK_FRAMES - 1 : -1 : CHUNK_FRAMES, :2],
        axis=-1,
    )
    steady = (scenes.action[:, 0, 1:] < 4) & scenes.new_shot[:, 1:]
    assert steady.any() and begins[steady].max() < 1.5
    same = ~scenes.new_shot.repeat(CHUNK_FRAMES, axis=1)
    assert np.array_equal(other.path[:, 0][same], scenes.path[:, 0][same])
    assert np.array_equal(other.path[:, 1], scenes.path[:, 1])


def test_worn_objects_are_still_told_apart_by_half_of_the_way():
    scenes = sample_scenes(40, 6, plain=True, alone=True)
    wear = sample_wear(scenes, 6, torch.device("cpu"))
    assert float(wear.morph.max()) < 0.5
    first = torch.arange(40), torch.zeros(40, 1, dtype=torch.long)
    drawn, worn = (draw(make_sheet(scenes), weather_covers("cpu"), *first, some) for some in (None, wear))
    changed = ((drawn - worn).abs().amax(1) > 0.2).float().mean((1, 2, 3))
    assert 0 < float(changed.mean()) < 0.1


def test_outlines_wear_towards_a_shape_as_often_as_away_from_it():
    scenes = sample_scenes(4000, 6, plain=True, alone=True)
    towards = sample_wear(scenes, 6, torch.device("cpu")).shape[:, 0].numpy()
    pairs = np.zeros((len(SHAPES), len(SHAPES)))
    np.add.at(pairs, (scenes.shape[:, 0], towards), 1 / len(scenes))
    assert pairs.diagonal().max() == 0 and np.abs(pairs - pairs.T).max() < 0.025


def test_swollen_objects_are_still_nearest_to_their_own_size():
    scenes = sample_scenes(300, 6)
    other = swollen(scenes, 6)
    assert np.array_equal(other.path[..., :2], scenes.path[..., :2])
    ratio = other.path[..., 2] / scenes.path[..., 2]
    assert ratio.min() < 0.9 and ratio.max() > 1.1 and np.allclose(ratio, ratio[..., :1])
    small, big = (np.abs(scenes.path[..., 2] - RADII[name]) < 0.5 for name in ("small", "big"))
    assert small.any() and other.path[..., 2][small].max() < SIZE_BOUNDARY
    assert big.any() and other.path[..., 2][big].min() > SIZE_BOUNDARY


@pytest.mark.parametrize("count", [1, 2, 5, 33])
def test_there_are_as_many_clips_to_train_on_as_are_asked_for(count):
    assert len(training_scenes(count, count)) == count


def test_in_many_clips_to_train_on_night_falls_or_day_breaks():
    scenes = training_scenes(600, 3)
    outside = [BACKGROUNDS.index(name) for name in OUTDOORS]
    turns = np.isin(scenes.background_from, outside) & np.isin(scenes.background_to, outside)
    turns &= scenes.background_from != scenes.background_to
    assert 0.3 < turns.any(axis=1).mean() < 0.4


def test_two_objects_to_train_on_do_not_hide_each_other_at_first():
    scenes = training_scenes(100, 3)
    assert len(scenes) == len(scenes.captions) == 100
    assert 0.45 < scenes.second.mean() < 0.55
    first, second = scenes.path[scenes.second][:, :, :CHUNK_FRAMES].swapaxes(0, 1)
    assert (np.linalg.norm(first[..., :2] - second[..., :2], axis=-1) > first[..., 2] + second[..., 2]).all()
