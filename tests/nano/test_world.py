"""nano's drawn world: deterministic, inside its walls, described truthfully, and readable by the analyser."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from magi_core.text.cleaning import prepare_caption
from tools.nano.analyser import action_of, latent_motion_ratio, measure
from tools.nano.render import background_images, draw, make_sheet, to_uint8
from tools.nano.scenes import sample_scenes, size_name, with_other_things
from tools.nano.text_model import UNKNOWN, caption_ids, make_tokenizer
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CHUNK_FRAMES,
    COLOUR_NAMES,
    DIRECTIONS,
    FRAMES,
    SHAPES,
    SIZE,
    SIZE_BOUNDARY,
    held_out_triples,
)


def test_the_same_seed_draws_the_same_clips():
    one, two, other = sample_scenes(20, 5), sample_scenes(20, 5), sample_scenes(20, 6)
    assert np.array_equal(one.path, two.path) and one.captions == two.captions
    assert not np.array_equal(one.path, other.path)
    images = background_images()
    clip, frame = torch.tensor([3]), torch.arange(4)[None]
    assert torch.equal(draw(make_sheet(one), images, clip, frame), draw(make_sheet(two), images, clip, frame))


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
    sheet, images = make_sheet(scenes), background_images()
    frame = torch.arange(CHUNK_FRAMES)[None]
    return scenes, [to_uint8(draw(sheet, images, torch.tensor([i]), frame))[0] for i in range(18)]


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
    sheet, images = make_sheet(scenes), background_images()
    together = draw(sheet, images, torch.tensor([1]), torch.tensor([[0, 50, FRAMES - 1]]))
    apart = draw(sheet, images, torch.tensor([1]), torch.tensor([[50]]))
    assert torch.allclose(together[:, :, 1:2], apart, atol=1e-6)
