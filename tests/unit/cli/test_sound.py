"""`render` and `extend` keep the sound of a given video, or lay another over the whole."""

from __future__ import annotations

import pytest

from magi_core.state import load_state
from magi_core.video import read_video
from tests.unit.video.sounds import flashing, sound_file, starts


def heard(path="a.mp4"):
    video = read_video(path, sound=True)
    return len(video.frames), None if video.sound is None else starts(video.sound.samples)


def test_the_sound_of_a_continued_video_is_kept_and_then_it_is_silent(render, tmp_path):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    assert render("a", "--video", "given.mkv", "--chunks", 2) == 0
    assert heard() == (96, pytest.approx([0, 1], abs=0.011))


@pytest.mark.parametrize(("fps", "frames"), [(25, 50), (10, 20), (30, 60)])  # none filled up, 2 filled up, whole
def test_what_is_filled_up_in_front_moves_no_sound(render, tmp_path, fps, frames):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    assert render("a", "--video", "given.mkv", "--seconds", 1, "--fps", fps) == 0
    video = read_video("a.mp4", fps=fps, sound=True)
    assert len(video.frames) == frames + fps
    assert starts(video.sound.samples) == pytest.approx([0, 1], abs=0.011)


def test_an_extended_video_begins_where_the_given_one_did(command, tmp_path):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    size = ("--width", 32, "--height", 32)
    made = ("render", "red", "--video", "given.mkv", *size, "--fps", 9, "--chunks", 1)  # 18 frames
    assert command(*made, "--out", "a.mp4", "--save", "take.magi") == 0
    assert command("extend", "take.magi", "--prompt", "blue", "--out", "b.mp4") == 0
    first, longer = (read_video(path, fps=9, sound=True) for path in ("a.mp4", "b.mp4"))
    assert len(longer.frames) == len(first.frames) + 24 == 22 + 24
    assert starts(longer.sound.samples) == starts(first.sound.samples) == pytest.approx([0, 1], abs=0.011)


def test_a_video_without_sound_stays_without(render, tmp_path):
    assert render("a") == 0 and heard() == (24, None)


def test_a_sound_is_laid_over_the_whole(render, tmp_path):
    flashing(tmp_path / "given.mkv", 1, sound="flac")
    sound_file(tmp_path / "song.mp3", "mp3", 10)
    assert render("a", "--video", "given.mkv", "--chunks", 2, "--audio", "song.mp3") == 0
    frames, beeps = heard()
    assert frames == 72 and beeps == pytest.approx([0, 1, 2], abs=0.03)


@pytest.mark.parametrize(
    ("given", "message"), [("nothing.wav", "there is no file nothing.wav"), ("text.wav", "cannot be read as a sound")]
)
def test_a_sound_that_is_none_is_refused_before_anything_is_made(render, tmp_path, capsys, given, message):
    (tmp_path / "text.wav").write_text("hello")
    assert render("a", "--audio", given) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "a.mp4").exists()


def test_a_take_keeps_the_sound_for_the_videos_of_later(command, tmp_path, capsys):
    flashing(tmp_path / "given.mkv", 1, sound="flac")
    sound_file(tmp_path / "song.wav", "pcm_s16le", 5)
    size = ("--width", 32, "--height", 32)
    assert command("render", "red", "--video", "given.mkv", *size, "--out", "a.mp4", "--save", "take.magi") == 0
    assert command("extend", "take.magi", "--prompt", "blue", "--out", "b.mp4") == 0
    assert heard("b.mp4") == (72, pytest.approx([0], abs=0.011))
    assert command("info", "take.magi") == 0 and "with its sound" in capsys.readouterr().out
    assert command("extend", "take.magi", "--prompt", "blue", "--out", "c.mp4", "--audio", "song.wav") == 0
    assert heard("c.mp4") == (96, pytest.approx([0, 1, 2, 3], abs=0.011))
    assert starts(load_state("take.magi").sound.samples) == [0]  # what was laid over is not in it


def test_a_sound_for_no_video_is_refused(command, take, capsys):
    assert command("extend", take, "--prompt", "blue", "--audio", "song.wav") == 2
    assert "name that with --out" in capsys.readouterr().err


def test_an_animated_webp_is_continued_and_a_picture_with_opacity_is_spoken_of(render, tmp_path, capsys):
    from PIL import Image

    pictures = [Image.new("RGB", (64, 64), (n, n, n)) for n in (20, 60)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=500)
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert render("a", "--video", "a.webp") == 0 and heard()[0] == 48
    assert render("a", "--image", "a.png") == 0
    assert "note: image: its transparency was laid on white" in capsys.readouterr().out


def test_how_much_video_is_encoded_is_said_before_it_is(render, tmp_path, capsys):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    render("a", "--video", "given.mkv")
    assert "continuing 48 frames of video" in capsys.readouterr().out.splitlines()[0]
