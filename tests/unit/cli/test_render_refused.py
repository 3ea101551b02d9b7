"""`render`: what cannot be rendered is refused in one line, before a model is loaded."""

from __future__ import annotations

import os

import pytest
import torch
from PIL import Image

from magi_core.cli.main import main
from magi_core.video import write_video
from tests.unit.cli.stand_in import StandIn

BAD = [
    ([], "nothing to render"),
    (["a", "--storyboard", "story.txt"], "prompts or --storyboard, not both"),
    (["--storyboard", "nothing.txt"], "cannot read the storyboard nothing.txt"),
    (["--storyboard", "bad.txt"], "bad.txt, line 2: chunk 0 already has a prompt"),
    (["--storyboard", "picture.png"], "text file in UTF-8"),
    (["a", "b", "c", "--seconds", "2"], "3 prompts need at least 3 chunks, the video has 2"),
    (["a", "--seconds", "2", "--chunks", "2"], "not allowed with"),
    (["a", "--seconds", "soon"], "--seconds must be a number"),
    (["a", "--seconds", "-1"], "--seconds"),
    (["a", "--seconds", "0.01"], "less than a frame"),
    (["a", "--chunks", "0"], "--chunks must be at least 1"),
    (["a", "--chunks", "99999999999"], "99999999999 chunks are too many: at most 100,000"),
    (["a", "--seconds", "999999999999"], "chunks are too many: at most 100,000"),
    (["a", "--chunks", "x"], "must be a whole number: 'x'"),
    (["a", "--width", "725"], "width must be a multiple of 16: 725 -> use 720 or 736"),
    (["a", "--width", "0"], "width must be a multiple of 16: 0 -> use 16"),
    (["a", "--fps", "fast"], "frames per second must be a number"),
    (["a", "--seed", "-1"], "--seed must lie between"),
    (["a", "--steps", "10"], "steps must be a multiple of the window"),
    (["a", "--window", "0"], "at least 1"),
    (["a", "--kv-ranges", "x"], "--kv-ranges must be whole numbers"),
    (["a", "--kv-ranges", "0,1"], "at least 1"),
    (["a", "--text-guidance", "nan"], "--text-guidance must be a finite number"),
    (["a", "--nearly-clean-blend", "2"], "--nearly-clean-blend must lie between 0 and 1"),
    (["a", "--still-start", "--moving-start"], "contradict"),
    (["a", "--no-special-tokens", "--look-3d"], "--no-special-tokens leaves no room"),
    (["a", "--device", "toaster"], "unknown device 'toaster'"),
    (["a", "--dtype", "int3"], "unknown number format int3"),
    (["a", "--attention", "magic"], "invalid choice: 'magic'"),
    (["a", "--model", "nowhere"], "there is no model 'nowhere'"),
    (["a", "--image", "picture.png", "--video", "v.mp4"], "not both"),
    (["a", "--image", "nothing.png"], "there is no file nothing.png"),
    (["a", "--image", ""], "the name of the image is empty"),
    (["a", "--video", ""], "the name of the video is empty"),
    (["a", "--audio", ""], "the name of the sound is empty"),
    (["a", "--out", ""], "the name of the video is empty"),
    (["a", "--save", ""], "the name of the take is empty"),
    (["a", "--contact-sheet", ""], "the name of the contact sheet is empty"),
    (["a", "--image", "story.txt"], "is not an image"),
    (["a", "--video", "story.txt"], "cannot be read as a video"),
    (["a", "--out", "a.avi"], "written as mp4: a.avi -> use a.mp4"),
    (["a", "--out", "model"], "written as mp4"),
    (["a", "--out", "story.txt/a.mp4"], "cannot make the folder story.txt"),
    (["a", "--contact-sheet", "s.jpg"], "written as png"),
    (["a", "--video", "v.mp4", "--out", "v.mp4"], "--out would replace v.mp4"),
    (["a", "--image", "picture.png", "--contact-sheet", "picture.png"], "--contact-sheet would replace picture.png"),
    (["a", "--colour", "red"], "unknown: --colour"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) or "nothing" for arguments, _ in BAD])
def test_bad_input_is_one_line_and_loads_nothing(render, tmp_path, capsys, arguments, message):
    (tmp_path / "story.txt").write_text("0: a\n", encoding="utf-8")
    (tmp_path / "bad.txt").write_text("0: a\n0: b\n", encoding="utf-8")
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    write_video(tmp_path / "v.mp4", [torch.zeros(4, 64, 64, 3, dtype=torch.uint8)], 24)
    engine = StandIn()
    assert render(*arguments, engine=engine) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("magi: ") and error.count("\n") == 1
    assert "load" not in engine.asked
    assert not os.path.exists("a.mp4")


def test_a_missing_vae_is_said_before_anything_is_sampled(render, capsys):
    engine = StandIn(vae=None)
    assert render("a", engine=engine) == 2
    assert "has no VAE, which makes the frames: `python -m magi_core models " in capsys.readouterr().err
    assert "story" not in engine.asked


def test_missing_special_tokens_are_said_with_both_ways_out(render, capsys):
    assert render("a", engine=StandIn(special_tokens=None)) == 2
    error = capsys.readouterr().err
    assert "special_tokens.npz" in error and "--no-special-tokens" in error
    assert render("a", "--no-special-tokens", engine=StandIn(special_tokens=None)) == 0


def test_one_side_alone_is_refused(render, capsys):
    assert render("a", "--width", 64, size=()) == 2
    assert "give both --width and --height" in capsys.readouterr().err


LONG = "x" * 300


@pytest.mark.parametrize(
    "words",
    [
        *(["render", "a", option, f"{LONG}{end}"] for option, end in (("--out", ".mp4"), ("--save", ".magi"))),
        *(["render", "a", option, LONG] for option in ("--image", "--video", "--audio", "--model")),
        ["render", "--storyboard", LONG],
        *(["info", name] for name in (LONG, "", "a\0b")),
        ["extend", LONG, "--prompt", "a"],
        ["models", LONG],
        ["render", "a", "--out", "a\udcff.mp4"],
        ["render", "a", "--out", "a\0b.mp4"],
        ["render", "a", "--out", f"{LONG}/a.mp4"],
        ["render", "a", "--out", f"{'x' * 245}.mp4"],
    ],
    ids=lambda words: " ".join(words)[:30].encode("ascii", "backslashreplace").decode(),
)
def test_names_that_no_file_can_have_are_refused_in_one_line(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("magi: ") and told.count("\n") == 1 and "free disk space" not in told
