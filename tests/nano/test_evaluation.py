"""nano's evaluation: what is asked, what counts as an answer, and the lines of the table."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from magi_core.text.cleaning import prepare_caption
from tools.nano import judging, report, side_by_side
from tools.nano.analyser import Track, clipped_share, grid_energy, measure, patchiness, sharpness
from tools.nano.captions import CONTINUATIONS
from tools.nano.cases import LONG_CHUNKS, Case
from tools.nano.evaluate import ROWS, joined, rounded, tasks_of, unfilmed
from tools.nano.intervals import bootstrap, wilson
from tools.nano.scenery import looks, paint_scenery
from tools.nano.scripts import drawn_frames, film, write_script
from tools.nano.second_cases import FIRST, LAST, STUDIO
from tools.nano.second_filming import Seen, spent
from tools.nano.table import TABLE, Line
from tools.nano.text_model import UNKNOWN, make_tokenizer
from tools.nano.vocabulary import (
    ACTIONS,
    BACKGROUNDS,
    CHUNK_FRAMES,
    COLOUR_NAMES,
    COLOURS,
    SHAPES,
    SIZE,
    held_out_triples,
)
from tools.small_models import tiny_engine


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Case]]:
    return {row: make(6, 21) for row, make in ROWS.items()}


def frames_of(case: Case) -> torch.Tensor:
    return drawn_frames(case.clip, (len(case.chunks) + (case.given > 1)) * CHUNK_FRAMES)


@pytest.mark.parametrize("row", ROWS)
def test_cases_are_the_same_every_time_and_speak_known_words(cases, row):
    again, tokenizer = ROWS[row](6, 21), make_tokenizer()
    assert [case.prompts for case in again] == [case.prompts for case in cases[row]]
    assert len({case.seed for case in again}) == 6
    said = [chunk.prompt for case in again for name in ("source", "moved") for chunk in getattr(case, name, ())]
    for prompt in {*said, *(prompt for case in again for prompt in case.prompts)}:
        assert UNKNOWN not in tokenizer.encode(prepare_caption(prompt), add_special_tokens=False).tokens, prompt


@pytest.mark.parametrize("row", ["single", "swap", "memory", "shots"])
def test_first_captions_name_what_training_never_did(cases, row):
    table = held_out_triples()
    for case in cases[row]:
        named = case.truth[0]
        place = SHAPES.index(named["shape"]), COLOUR_NAMES.index(named["colour"]), ACTIONS.index(named["motion"])
        assert table[place], case.prompts


def test_second_passes_change_what_they_say_they_change(cases):
    for case in cases["restyle"]:
        (colour,) = {truth["colour"] for truth in case.truth}
        assert all(colour in prompt.split() for prompt in case.prompts) and case.truth[0]["background"] in STUDIO
        assert not any(colour in chunk.prompt.split() for chunk in case.source)
        assert bool(case.source) == bool(case.number % 2)
    for case in cases["retouch"]:
        assert len(case.source) == 8 and len(case.chunks) == len(case.moved) == LAST + 1 - FIRST
        assert not {chunk.prompt for chunk in case.moved} & {chunk.prompt for chunk in case.source}
    assert all(case.source == case.chunks for case in cases["finish"])


def test_a_path_is_off_by_its_mean_distance_and_one_that_is_lost_by_more_than_any_bar():
    def seen(x: float, lost: int = 0) -> Seen:
        centre = torch.full((24, 2), x)
        centre[:lost] = torch.nan
        return Seen(torch.zeros(0), [Track(centre, torch.full((24,), 14.0), 0, torch.zeros(8), torch.zeros(4))] * 2, [])

    assert seen(3.0).off(seen(0.0)) == pytest.approx(18**0.5) and seen(3.0, lost=2).off(seen(3.0)) == 0
    assert seen(3.0, lost=8).off(seen(3.0)) == float("inf")


def test_what_rises_is_as_far_apart_as_its_nearest_neighbours():
    rising = [[0.0, 1 + 0.01 * i, 2.0] for i in range(20)]
    assert 0.85 < report.STATISTICS["gap"](rising) < 1
    assert report.STATISTICS["gap"]([[a, c, b] for a, b, c in rising]) < 0


def test_a_share_of_the_forwards_counts_what_stages_cost():
    engine = tiny_engine(True, steps=8)
    extension = engine.plan(engine.begin(width=16, height=16), "red", 4)
    shares = [spent(extension, step) for step in range(extension.forwards + 1)]
    assert shares[0] == 0 and shares[-1] == pytest.approx(1) and shares == sorted(shares)
    assert shares[2] == pytest.approx(extension.stages[0].cost.total / extension.cost.total)


def test_follow_up_prompts_name_only_what_changes(cases):
    for case in [*cases["memory"], *cases["long"], *cases["shots"]]:
        for k, prompt in enumerate(case.prompts[1:], start=1):
            changed = case.truth[k]["colour"] != case.truth[k - 1]["colour"]
            assert changed == any(name in prompt.split() for name in COLOUR_NAMES), prompt
            assert not set(prompt.split()) & {case.truth[0]["shape"], case.truth[0]["size"]} - {"circle"}, prompt
    assert all(len(case.chunks) == LONG_CHUNKS for case in cases["long"])


def test_a_new_shot_and_a_cut_follow_the_first_second(cases):
    for case in cases["shots"]:
        assert [chunk.transition for chunk in case.chunks] == ["continue", "new_shot", "cut"]


def test_scripts_are_feasible_as_drawn():
    script = write_script(np.random.default_rng(3), ["straight", "same"])
    path = film(script).path[0, 0, : 2 * CHUNK_FRAMES, :2]
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert np.allclose(steps, script.speed, atol=1e-4)  # no wall, no pause, no jump at the border


@pytest.mark.parametrize(
    "row", ["single", "pair", "swap", "memory", "image", "continuation", "pace", "camera", "weather"]
)
def test_drawn_films_get_full_marks(cases, row):
    for case in cases[row][:3]:
        found = judging.judge(case, frames_of(case))
        lists = ("camera", "present", "absent", "motion kept")
        wrong = [name for name, value in found.items() if value is False and name != "no room"]
        wrong += [name for name in lists if 0.0 in found.get(name, ())]
        assert not wrong, (case.prompts, found)


def test_pairs_notice_a_missing_and_another_object(cases):
    case = cases["pair"][0]
    first, second = case.truth
    alone = dataclasses.replace(case, clip=dataclasses.replace(case.clip, second=np.array([False])))
    found = judging.judge(case, frames_of(alone))
    assert found["first shape"] and not found["second colour"] and not found["both"]
    shapes = np.array([[SHAPES.index(second["shape"]), SHAPES.index(first["shape"])]])
    swapped = dataclasses.replace(case, clip=dataclasses.replace(case.clip, shape=shapes))
    found = judging.judge(case, frames_of(swapped))
    assert found["first colour"] and found["second colour"] and not found["first shape"] and not found["second shape"]


def test_a_camera_that_does_not_move_and_rain_that_does_not_fall_are_noticed(cases):
    case = next(c for c in cases["camera"] if c.truth[1]["camera"] == "pan left")
    rests = dataclasses.replace(case.clip, view=np.zeros_like(case.clip.view) + np.array([0, 1], dtype=np.float32))
    found = judging.judge(case, frames_of(dataclasses.replace(case, clip=rests)))
    assert found["camera"][0] == 0.0 and found["all kept"]
    case = next(c for c in cases["weather"] if c.truth[-1]["weather"] != "clear")
    dry = np.zeros_like(case.clip.weather_to)
    found = judging.judge(
        case,
        frames_of(dataclasses.replace(case, clip=dataclasses.replace(case.clip, weather_from=dry, weather_to=dry))),
    )
    assert not any(found["present"])


def test_what_comes_back_after_a_cut_is_noticed(cases):
    truth = cases["wall"][0].truth
    words = [{"motion": "still"} | named for named in truth]
    assert judging.walled(words, truth)["nothing of the old"]
    returns = [*words[:4], words[4] | {"background": truth[0]["background"]}]
    assert not judging.walled(returns, truth)["nothing of the old"]


def test_stories_change_six_to_nine_things_and_end_as_last_named(cases):
    for case in cases["story"]:
        assert 10 <= len(case.chunks) <= 12
        changes = [prompt for prompt in case.prompts[1:] if prompt not in CONTINUATIONS]
        assert 6 <= len(changes) <= 9
        assert {"night"} == {case.truth[-1]["background"]} and "circle" in {t["motion"] for t in case.truth}
    seen = [{"size": "big", "weather": "clear"} | words for words in cases["story"][0].truth]
    tracks = [measure(frames_of(cases["single"][0]))] * len(seen)
    assert judging.told(tracks, seen, cases["story"][0].truth)["all at the end"]
    other = [*seen[:-1], seen[-1] | {"shape": "none"}]
    assert not judging.told(tracks, other, cases["story"][0].truth)["all at the end"]


def test_memory_notices_another_object(cases):
    case, other = next(
        (a, b) for a in cases["memory"] for b in cases["memory"] if a.truth[-1]["shape"] != b.truth[-1]["shape"]
    )
    frames = frames_of(case)
    frames[-CHUNK_FRAMES:] = frames_of(other)[-CHUNK_FRAMES:]
    found = judging.judge(case, frames)
    assert found["shape kept"] is False and found["all kept"] is False and found["all in every chunk"] is False


def test_seams_measure_jumps_of_moving_objects_only():
    moving = film_of(["straight", "same"])
    still = film_of(["still", "same"])
    tracks = [measure(chunk) for chunk in moving.split(CHUNK_FRAMES)]
    assert judging.seam_jumps(tracks)[1] == pytest.approx(1.0, abs=0.15)
    shifted = moving.clone()
    shifted[CHUNK_FRAMES:] = moving[CHUNK_FRAMES:].roll(6, dims=2)
    tracks = [measure(chunk) for chunk in shifted.split(CHUNK_FRAMES)]
    assert judging.seam_jumps(tracks)[1] > 3
    assert judging.seam_jumps([measure(chunk) for chunk in still.split(CHUNK_FRAMES)]) == {}


def film_of(beats: list[str], seed: int = 11) -> torch.Tensor:
    """A drawn film on a plain background (which may be rolled sideways)."""
    script = dataclasses.replace(write_script(np.random.default_rng(seed), beats), background="gray")
    return drawn_frames(film(script), len(beats) * CHUNK_FRAMES)


def test_motion_inside_a_latent_frame_is_seen_without_a_truth():
    frames = film_of(["straight", "same"])
    for video, wanted in ((frames, 1.0), (frames[::4].repeat_interleave(4, dim=0), 0.0)):
        total, weight = judging.latent_motion(*judging.look(video))
        assert weight > 0 and total / weight == pytest.approx(wanted, abs=0.05)


def test_an_action_without_room_does_not_count():
    corner = Track(torch.tensor([[20.0, 64.0]] * 24), torch.full((24,), 14.0), 0, torch.zeros(8), torch.zeros(4))
    assert not judging.has_room(corner, "circle", "left") and judging.has_room(corner, "circle", "right")


def test_continuations_need_direction_and_speed(cases):
    case = cases["continuation"][0]
    frames = frames_of(case)
    slow = frames.clone()
    slow[CHUNK_FRAMES:] = frames[CHUNK_FRAMES + torch.arange(24) // 2]
    found = judging.judge(case, slow)
    assert found["same direction"] and not found["same speed"] and not found["carried on"]


def test_a_new_shot_is_another_place_with_the_same_object():
    here, other = film_of(["still"], 1), film_of(["still"], 2)
    there = here.roll(24 if float(measure(here).centre[0, 0]) < 64 else -24, dims=2)

    def reshot(second: torch.Tensor) -> judging.Findings:
        return judging.reshot(*judging.look(torch.cat([here, second, other])))

    assert reshot(there)["new shot"]
    assert not reshot(here)["composition"]
    assert not reshot(other)["identity"]


def test_long_videos_that_stop_fade_or_blur_are_noticed():
    early = film_of(["straight", "same"])[CHUNK_FRAMES:]
    good = judging.lasted(early, early)
    assert good["moves"] and good["not empty"] and good["not saturated"] and good["sharpness"] == pytest.approx(1.0)
    assert not judging.lasted(early, early[:1].expand(24, -1, -1, -1))["moves"]
    assert not judging.lasted(early, torch.full_like(early, 130))["not empty"]
    assert not judging.lasted(early, torch.full_like(early, 255))["not saturated"]
    soft = torch.nn.functional.avg_pool2d(
        early.float().permute(0, 3, 1, 2), 9, stride=1, padding=4, count_include_pad=False
    )
    assert sharpness(soft.permute(0, 2, 3, 1)) < 0.5 * sharpness(early)
    assert clipped_share(early) == 0


def test_blocks_are_seen_on_the_grid_only():
    flat = torch.full((2, 128, 128, 3), 100, dtype=torch.uint8)
    blocky, shifted = flat.clone(), flat.clone()
    blocky[:, :, 8:16] = 140
    shifted[:, :, 11:19] = 140
    assert grid_energy(flat) == grid_energy(shifted) == 0.0
    assert grid_energy(blocky) > 0


def test_patches_of_colour_are_seen_inside_objects_only():
    frames = drawn_frames(film(write_script(np.random.default_rng(4), ["still"])), 4)
    inside = (frames[0].float() - frames[0, 0, 0].float()).abs().amax(-1) > 60
    chequered = frames.clone()
    chequered[:, inside & (torch.arange(128) // 8 % 2 == 0)] += 30
    assert patchiness(frames) < 0.01 < 0.03 < patchiness(chequered)
    assert patchiness(torch.full_like(frames, 240)) is None


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_an_object_that_fills_most_of_the_picture_is_not_taken_for_the_background(background):
    """It has grown twice: a disc of 57 pixels is three fifths of the picture."""
    rest = torch.tensor([[0.0, 1.0]])
    scenery = paint_scenery(looks(rest.device)[BACKGROUNDS.index(background)][None], rest).permute(0, 2, 3, 1)
    axis = torch.arange(SIZE) - SIZE / 2 + 0.5
    disc = (axis[:, None].hypot(axis) < 57)[None, :, :, None]
    for colour in ("cyan", "green"):  # like a day's sky, and like its ground
        frames = torch.where(disc, torch.tensor(COLOURS[colour]) / 255.0, scenery).expand(CHUNK_FRAMES, -1, -1, -1)
        track = measure((255 * frames).round().byte())
        assert (track.background_name, track.shape, track.colour, track.size) == (background, "circle", colour, "big")


def test_a_story_says_how_much_of_the_outline_is_worn_off_after_ten_seconds():
    frames = film_of(["still"])
    tracks, seen = judging.look(frames)
    truth = [seen[0]] * 10
    for tenth, worn in ((seen[0], 0.0), (seen[0] | {"shape": "nothing"}, 1.0)):
        found = judging.told(tracks * 10, seen * 9 + [tenth], truth)
        assert (found["shape worn off"], found["outline worn off"]) == (worn, 0.0)
    blunt = dataclasses.replace(tracks[0], shape_scores=tracks[0].shape_scores - 0.1)
    assert judging.told([*tracks * 9, blunt], seen * 10, truth)["outline worn off"] == pytest.approx(0.1)


def test_frames_in_which_a_colour_turns_are_found():
    truth = [{"colour": colour} for colour in ("red", "red", "blue", "blue")]
    assert judging.turn_of(truth) == slice(52, 60) and judging.turn_of(truth[:2]) is None


def test_lines_say_whether_the_bar_is_met():
    lines = (
        Line("single", "shape", "shape", low=0.9),
        Line("single", "size", "size", low=0.9),
        Line("single", "ratio", "ratio", "mean", low=0.8, high=1.2),
        Line("single", "absent", "absent", low=0.5),
    )
    found = [{"shape": i > 0, "size": None if i < 5 else i > 6, "ratio": 1.3} for i in range(10)]
    shape, size, ratio = report.summarise({("single", "generated"): found}, lines)
    assert (shape["value"], shape["n"], shape["met"], shape["bar"]) == (0.9, 10, True, ">= 0.9")
    assert (size["value"], size["n"], size["met"]) == (0.6, 5, False)
    assert (ratio["met"], ratio["bar"]) == (False, "0.8 to 1.2")
    assert "**missed**" in report.markdown([shape, size, ratio])


def test_seams_are_divided_by_those_through_the_vae():
    line = next(line for line in TABLE if line.against)
    results = {("memory", "generated"): [{"seams": [1.0, 3.0]}] * 20, ("memory", "vae"): [{"seams": [2.0]}] * 20}
    (entry,) = report.summarise(results, [line])
    assert entry["value"] == pytest.approx(1.5) and entry["n"] == 40 and entry["met"] is False
    assert report.summarise({("memory", "generated"): [{"seams": [1.0]}]}, [line]) == []


def test_agreement_above_chance():
    same, unrelated = [("red", "red"), ("blue", "blue")] * 50, [("red", "red"), ("red", "blue")] * 50
    statistic = report.STATISTICS["above chance"]
    assert statistic(same) == pytest.approx(0.5)
    assert statistic(unrelated) == pytest.approx(0.0)


def test_comparison_allows_three_points():
    base = report.summarise({("single", "generated"): [{"colour": True}] * 100})
    worse = [{"colour": i >= 3} for i in range(100)]
    entry = report.compare(report.summarise({("single", "generated"): worse}), base)[0]
    assert entry["difference"] == pytest.approx(-0.03) and entry["near"] is True
    worst = [{"colour": i >= 4} for i in range(100)]
    entry = report.compare(report.summarise({("single", "generated"): worst}), base)[0]
    assert entry["near"] is False
    assert "difference" in report.markdown([entry]).splitlines()[0]


def test_a_model_card_has_both_models_side_by_side():
    base, distilled = ([{"colour": i >= wrong, "shape": True} for i in range(100)] for wrong in (0, 20))
    lines = (Line("single", "colour", "colour", low=0.9), Line("single", "shape", "shape"))
    both = [report.summarise({("single", "generated"): found}, lines) for found in (base, distilled)]
    assert side_by_side.rows(*both).splitlines()[2:] == [
        "| single: colour | >= 0.9 | 1.00 (0.96 to 1.00) | 100 | 0.80 (0.71 to 0.87) **missed** | 100 |"
    ]
    assert "| single: shape |" in side_by_side.rows(*both, every=True)
    assert side_by_side.rows(both[0], []).splitlines()[2].endswith("| 100 |  |  |")


def test_intervals_contain_the_value_and_narrow_with_n():
    low, high = wilson(95, 100)
    assert low < 0.95 < high and wilson(950, 1000)[0] > low
    ten, hundred = ([float(i % 10) for i in range(n)] for n in (10, 100))
    wide, narrow = (bootstrap(report.STATISTICS["mean"], values) for values in (ten, hundred))
    assert wide[0] < narrow[0] < 4.5 < narrow[1] < wide[1]


def test_rows_are_filmed_evenly_mixed_with_long_ones_first():
    tasks = tasks_of(["single", "memory", "long"], "4", 5, False)
    assert [case.row for case, _ in tasks[:4]] == ["long"] * 4
    half = tasks[4 : 4 + (len(tasks) - 4) // 2]
    assert {(case.row, source) for case, source in half} == {
        ("single", "generated"),
        ("memory", "generated"),
        ("memory", "drawn"),
        ("memory", "vae"),
    }
    assert {source for _, source in tasks_of(["single", "long"], "2", 5, True)} == {"drawn", "vae"}


def test_an_evaluation_goes_on_from_the_reports_of_earlier_ones(tmp_path):
    results = {"memory generated": [{"case": 1}], "memory vae": [{"case": 0}], "files generated": [{"size": 1.0}]}
    for name, part in (("one", ["memory generated"]), ("two", ["memory vae", "files generated"])):
        (tmp_path / name).write_text(json.dumps({"results": {key: results[key] for key in part}}), encoding="utf-8")
    found = joined([tmp_path / "one", tmp_path / "two"])
    assert {" ".join(key): value for key, value in found.items()} == results
    tasks = tasks_of(["memory"], "2", 5, False)
    left = {(case.number, source) for case, source in unfilmed(tasks, found)}
    assert left == {(0, "generated"), (0, "drawn"), (1, "drawn"), (1, "vae")}


def test_reports_are_short_json():
    assert json.dumps(rounded({"a": [1.234567, ("b", None, True)]})) == '{"a": [1.2346, ["b", null, true]]}'
