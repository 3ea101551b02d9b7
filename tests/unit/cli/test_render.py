"""`render`: what is asked for is rendered."""

from __future__ import annotations

import json
import os
import sys
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image

from magi_core.cli.main import main
from magi_core.config import Guidance, SamplingSettings
from magi_core.story.storyboard import parse_storyboard
from magi_core.video import write_video
from tests.unit.cli.stand_in import StandIn, greys


def test_prompts_become_a_video_with_a_chunk_each(render, capsys):
    engine = StandIn()
    assert render("a red ball", "it stops", "--seed", 7, engine=engine) == 0
    assert engine.asked["prompts"] == ["a red ball", "it stops"]
    assert engine.asked["begin"] == {"image": None, "video": None, "total_chunks": 2, "seed": 7}
    assert greys() == [0] * 24 + [1] * 24
    printed = capsys.readouterr()
    assert "wrote a.mp4: 48 frames, 2.00 s at 24 fps, 64x64" in printed.out
    assert "chunk 2 of 2" in printed.err and "step 6/6" in printed.err and "left]" in printed.err


def test_prompts_may_stand_between_options(render):
    engine = StandIn()
    assert render("one", "--seed", 1, "two", engine=engine) == 0
    assert engine.asked["prompts"] == ["one", "two"]


def test_prompts_share_the_length(render):
    engine = StandIn()
    assert render("a", "b", "--seconds", 5, engine=engine) == 0
    assert engine.asked["prompts"] == ["a", "a", "a", "b", "b"]


def test_seconds_that_are_no_whole_chunks_are_cut_to_the_frame(render):
    engine = StandIn()
    assert render("a", "--seconds", "1.5", engine=engine) == 0
    assert engine.asked["begin"]["total_chunks"] == 2
    assert greys() == [0] * 24 + [1] * 12


def test_a_storyboard_keeps_its_times(render, tmp_path, capsys):
    engine = StandIn()
    (tmp_path / "story.txt").write_text("0-1: a\n2: b\n", encoding="utf-8")
    assert render("--storyboard", "story.txt", "--chunks", 4, engine=engine) == 0
    assert engine.asked["prompts"] == ["a", "a", "b", "b"]
    assert "note: the storyboard ends after chunk 2; its last prompt goes on" in capsys.readouterr().out
    assert render("--storyboard", "story.txt", "--seconds", 1, engine=engine) == 0
    assert engine.asked["prompts"] == ["a"]
    assert "only the first 1 is rendered" in capsys.readouterr().out


def test_a_storyboards_direction_reaches_the_engine_and_the_file(render, tmp_path, capsys):
    engine, story = StandIn(), "0 [reroll 2]: a\n1-2 [cut] [tokens THREE_D_MODEL]: b\n"
    (tmp_path / "story.txt").write_text(story, encoding="utf-8")
    assert render("--storyboard", "story.txt", engine=engine) == 0
    assert engine.asked["story"] == list(parse_storyboard(story).chunks)
    assert "  1-2 [cut] [tokens THREE_D_MODEL]: b" in capsys.readouterr().out
    with av.open("a.mp4") as container:
        assert parse_storyboard(container.metadata["storyboard"]) == parse_storyboard(story)


@pytest.mark.parametrize(
    ("story", "more", "message"),
    [
        ("0: a\n1 [ranges 9]: b", (), "chunk 1 of these 2: a KV range of 9"),
        ("0: a\n1 [tokens hq]: b", ("--no-special-tokens",), "special_tokens.npz"),
    ],
)
def test_direction_the_model_has_no_room_for_is_refused(render, tmp_path, capsys, story, more, message):
    engine = StandIn(special_tokens=None if more else "present")
    (tmp_path / "story.txt").write_text(story, encoding="utf-8")
    assert render("--storyboard", "story.txt", *more, engine=engine) == 2
    assert message in capsys.readouterr().err and "begin" not in engine.asked


def test_an_image_is_fitted_and_the_policy_is_said(render, tmp_path, capsys):
    Image.new("RGB", (128, 64), (9, 9, 9)).save(tmp_path / "i.png")
    engine = StandIn()
    assert render("a", "--image", "i.png", engine=engine) == 0
    assert engine.asked["begin"]["image"].shape == (64, 64, 3)
    assert len(greys()) == 24
    assert "note: image: cropped 128x64 to 64x64 (1:1)" in capsys.readouterr().out


def test_a_video_is_continued_by_exactly_the_seconds_asked_for(render, tmp_path):
    write_video(tmp_path / "v.mp4", [torch.full((30, 64, 64, 3), 20, dtype=torch.uint8)], 24)
    engine = StandIn()
    assert render("a", "--video", "v.mp4", "--seconds", 1, engine=engine) == 0
    assert len(engine.asked["begin"]["video"]) == 30
    assert engine.asked["begin"]["total_chunks"] == 2  # one completes the second chunk, one is new
    assert len(greys()) == 54


def test_the_rate_is_written_exactly(render):
    assert render("a", "--fps", "23.976") == 0
    with av.open("a.mp4") as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)


def test_a_contact_sheet_has_a_row_per_chunk(render, tmp_path):
    assert render("a", "b", "--contact-sheet", "sheets/s.png") == 0
    one_row = render("a", "--contact-sheet", "t.png")
    assert one_row == 0
    assert Image.open(tmp_path / "sheets/s.png").height > Image.open(tmp_path / "t.png").height + 100


def test_the_video_says_what_it_was_made_from(render):
    assert render("a", "b", "--seed", 3) == 0
    with av.open("a.mp4") as container:
        comment = json.loads(container.metadata["comment"])
    assert comment["prompts"] == ["a", "b"] and comment["seed"] == 3 and comment["steps"] == 64


def test_notes_of_the_text_encoder_are_said_once(render, capsys):
    assert render("word " * 5000, "--chunks", 3) == 0
    assert capsys.readouterr().out.count("note: chunk 0: prompt cut to 800 tokens") == 1


def test_without_a_name_the_next_free_one_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    arguments = ["render", "a", "--model", "model", "--width", "64", "--height", "64"]
    assert main(arguments, load=StandIn().load) == 0
    assert main(arguments, load=StandIn().load) == 0
    assert sorted(os.listdir("output")) == ["magi_0001.mp4", "magi_0002.mp4"]


def test_what_is_not_given_is_left_to_the_model(render):
    own = SamplingSettings(steps=8, special_tokens=(), duration_tokens=False, guidance=Guidance.simple(3.0, 2.0))
    engine = StandIn(own)
    assert render("a", engine=engine) == 0
    assert engine.settings == own


def test_settings_reach_the_engine(render):
    engine = StandIn()
    options = ["--steps", 12, "--window", 2, "--kv-ranges", "4,2", "--clean-kv-range", 2, "--text-guidance", 5]
    options += [
        "--nearly-clean-blend",
        0.5,
        "--shortcut",
        "16,16,8",
        "--draft",
        "light",
        "--look-3d",
        "--avoid-logos",
        "--no-duration-tokens",
    ]
    assert render("a", *options, engine=engine) == 0
    settings = engine.settings
    assert (settings.steps, settings.window, settings.kv_ranges, settings.clean_kv_range) == (12, 2, (4, 2), 2)
    assert settings.guidance == Guidance.simple(5.0, 1.5)
    assert (settings.nearly_clean_blend, settings.shortcut, settings.draft) == (0.5, "16,16,8", "light")
    assert settings.special_tokens == ("THREE_D_MODEL", "HQ") and settings.negative_tokens == ("LOGO",)
    assert not settings.duration_tokens


def test_guidance_that_is_not_given_stays_the_models(render):
    engine = StandIn(SamplingSettings(guidance=Guidance.simple(3.0, 2.0, 0.5, 1.0)))
    assert render("a", "--previous-guidance", 4, engine=engine) == 0
    assert engine.settings.guidance == Guidance.simple(3.0, 4.0, 0.5, 1.0)


def test_special_tokens_can_be_switched_off(render):
    engine = StandIn()
    assert render("a", "--no-special-tokens", "--kv-ranges", "all", engine=engine) == 0
    assert engine.settings.special_tokens == () and not engine.settings.duration_tokens
    assert engine.settings.kv_ranges == ()


def test_the_model_is_loaded_as_asked(render):
    engine = StandIn()
    assert (
        render("a", "--variant", "distill", "--dtype", "bf16", "--attention", "sdpa", "--device", "cpu", engine=engine)
        == 0
    )
    expected = {
        "model": "model",
        "variant": "distill",
        "device": torch.device("cpu"),
        "dtype": "bf16",
        "attention": "sdpa",
        "compiled": False,
        "vram": None,
    }
    assert engine.asked["load"] == expected


def test_compile_is_handed_to_the_model_or_refused_before_it_is_loaded(render, monkeypatch, capsys):
    engine = StandIn()
    monkeypatch.setenv("CXX", sys.executable)  # some program that exists
    assert render("a", "--compile", "--device", "cpu", engine=engine) == 0
    assert engine.asked["load"]["compiled"] is True
    refused = StandIn()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert render("a", "--compile", "--device", "cpu", engine=refused) == 2
    assert "needs a C++ compiler" in capsys.readouterr().err and "load" not in refused.asked


def test_a_prompt_that_is_no_whole_text_does_not_keep_the_video_from_being_written(render):
    assert render("a \udcff\0 ball", engine=StandIn()) == 0
    with av.open("a.mp4") as video:
        assert video.metadata["title"].startswith("a ??")
