"""`restyle`, `retouch` and `finish`: a second pass from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magi_core import load_state
from magi_core.sampling.retouch import retouched
from magi_core.state import SamplerState, resized
from magi_core.story.chunk import ChunkSpec
from magi_core.vae import VAE
from magi_core.vae.given import look_through
from magi_core.vae.source import encode_source
from magi_core.video import read_video
from tests.unit.cli.takes import STEPS, frames_in
from tests.unit.video.sounds import flashing, starts
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}
WORDS = ("red", "blue", "green", "red", "blue", "green", "red", "blue")
NEW = ("--save", "new.magi", "--out", "new.mp4")


@pytest.fixture
def source(command) -> Path:
    """Eight chunks of 32x32."""
    engine = tiny_engine(steps=STEPS)
    engine.extend(engine.begin(**SIZE, seed=5), WORDS).save("source.magi")
    return Path("source.magi")


def made() -> SamplerState:
    return load_state("new.magi")


def test_a_take_is_restyled_with_other_words(command, source):
    before = source.read_bytes()
    assert command("restyle", source, "--prompt", "a tree", "--prompt", "a star", "--seed", 9, *NEW) == 0
    engine, take = tiny_engine(steps=STEPS), load_state(source)
    expected = engine.extend(engine.begin(**SIZE, seed=9), ["a tree"] * 4 + ["a star"] * 4, source=take, strength=0.5)
    assert torch.equal(made().latents, expected.latents) and not torch.equal(made().latents, take.latents)
    assert [chunk.prompt for chunk in made().chunks] == ["a tree"] * 4 + ["a star"] * 4
    assert frames_in("new.mp4") == 192 and source.read_bytes() == before


def test_without_words_the_take_s_own_stay(command, source):
    assert command("restyle", source, "--seed", 9, "--strength", ".7", *NEW) == 0
    assert tuple(chunk.prompt for chunk in made().chunks) == WORDS


def test_a_storyboard_says_how_much_each_chunk_is_made_anew(command, source):
    Path("story.txt").write_text("0-2 [strength 0]: red\n3-7: a tree\n")
    assert command("restyle", source, "--storyboard", "story.txt", "--seed", 9, *NEW) == 0
    take = load_state(source)
    assert [torch.equal(made().chunk_latent(i), take.chunk_latent(i)) for i in range(8)] == [True] * 3 + [False] * 5


def test_a_retouch_is_sampled_as_the_take_was_but_for_what_is_asked(command, source, capsys):
    how = ("--chunks", "2-3", "--prompt", "a tree", "--strength", 1)
    assert command("retouch", source, *how, *NEW) == 0
    as_the_take, warned = made(), capsys.readouterr().err
    assert "warning" not in warned
    assert command("retouch", source, *how, "--steps", 2 * STEPS, "--save", "b.magi") == 0
    finer, take = load_state("b.magi"), load_state(source)
    assert f"not as source.magi was made: steps was {STEPS}, is {2 * STEPS}" in capsys.readouterr().err
    settings = take.settings.with_changes(steps=2 * STEPS)
    told = retouched(take, [ChunkSpec("a tree")] * 2, 2, 1.0, 0)
    engine = tiny_engine(steps=STEPS)
    *_, expected = engine.run(engine.plan(take.at(2), told, source=take, strength=1, settings=settings))
    same = [torch.equal(finer.chunk_latent(i), as_the_take.chunk_latent(i)) for i in range(8)]
    assert torch.equal(finer.latents, expected.latents) and same == [True] * 2 + [False] * 2 + [True] * 4


def test_a_retouch_by_another_model_than_the_take_s_says_so(command, source, capsys):
    other = tiny_engine(True, steps=STEPS)
    assert command("retouch", source, "--chunks", "2", "--prompt", "a tree", *NEW, engine=other) == 0
    assert "warning: not as source.magi was made: made with" in capsys.readouterr().err


def test_strength_0_is_the_take_bit_for_bit(command, source):
    assert command("restyle", source, "--prompt", "a tree", "--seed", 9, "--strength", 0, *NEW) == 0
    assert torch.equal(made().latents, load_state(source).latents)


@pytest.mark.parametrize("frames", [5, 7, 24])
def test_what_a_take_was_given_is_shown_as_it_was(command, frames):
    """Frames that only fill a given video up stay out of the new one, too."""
    engine = tiny_engine(steps=STEPS)
    video = torch.randint(0, 255, (frames, 32, 32, 3), dtype=torch.uint8)
    take = engine.extend(engine.begin(**SIZE, video=video), ["red", "blue"])
    take.save("source.magi")
    assert command("restyle", "source.magi", "--prompt", "a tree", *NEW) == 0
    assert made().filled == take.filled and torch.equal(made().prefix, take.prefix)
    assert frames_in("new.mp4") == take.frames == made().frames


def test_a_video_is_restyled_and_sounds_as_it_did(command, tmp_path, capsys):
    flashing(tmp_path / "given.mkv", 3, sound="flac")
    size = ("--width", 32, "--height", 32)
    assert command("restyle", "given.mkv", "--prompt", "a tree", *size, *NEW) == 0
    video = read_video("new.mp4", sound=True)
    assert len(video.frames) == 72 and starts(video.sound.samples) == pytest.approx([0, 1, 2], abs=0.011)
    assert command("finish", "new.magi", "--save", "b.magi", "--out", "b.mp4") == 0
    assert starts(read_video("b.mp4", sound=True).sound.samples) == pytest.approx([0, 1, 2], abs=0.011)
    assert command("extend", "b.magi", "--prompt", "on", "--out", "c.mp4") == 0
    video = read_video("c.mp4", sound=True)
    assert len(video.frames) == 96 and starts(video.sound.samples) == pytest.approx([0, 1, 2], abs=0.011)
    capsys.readouterr()
    assert command("info", "new.magi") == 0 and "with the sound of" in capsys.readouterr().out


def test_strength_0_of_a_video_is_its_way_through_the_vae(command, tmp_path):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    size = ("--width", 32, "--height", 32)
    assert command("restyle", "given.mkv", *size, "--strength", 0, *NEW) == 0
    video = look_through("given.mkv", **SIZE)
    assert len(video) == 48 and torch.equal(made().latents, encode_source(tiny_engine().vae, video)[0])
    assert frames_in("new.mp4") == 48


def test_a_video_that_ends_inside_a_chunk_ends_there_again(command, tmp_path):
    flashing(tmp_path / "given.mkv", 2, sound="flac")
    size = ("--width", 32, "--height", 32)
    assert command("render", "red", *size, "--seconds", 1.5, "--out", "given.mp4") == 0
    assert command("restyle", "given.mp4", "--prompt", "a tree", *size, *NEW) == 0
    assert frames_in("new.mp4") == 36 and made().frames == 36


def test_retouching_leaves_all_other_chunks_bit_for_bit_and_tells_what_does_not_join(command, source, capsys):
    words = ("--chunks", "2-3", "--prompt", "a tree", "--strength", 1, "--join", 1)
    assert command("retouch", source, *words, *NEW) == 0
    printed = capsys.readouterr()
    assert "note: chunk 2 is heading elsewhere than chunk 3 begins" in printed.err, "while it runs"
    assert printed.out.count("expect a jump there") == 1, "and when it is done"
    take = load_state(source)
    same = [torch.equal(made().chunk_latent(i), take.chunk_latent(i)) for i in range(8)]
    assert same == [True, True, False, False, True, True, True, True]
    told = retouched(take, ["a tree", "a tree"], 2, 1, 1)
    assert [spec.strength for spec in told][:2] == [record.spec.strength for record in made().chunks[2:4]] == [1, 0.5]
    assert frames_in("new.mp4") == 192


def test_retouching_one_chunk_with_its_own_words_and_other_noise(command, source):
    assert command("retouch", source, "--chunks", 4, "--strength", 1, "--reroll", 1, *NEW) == 0
    take = load_state(source)
    same = [torch.equal(made().chunk_latent(i), take.chunk_latent(i)) for i in range(8)]
    assert same == [index != 4 for index in range(8)]
    assert tuple(chunk.prompt for chunk in made().chunks) == WORDS and made().chunks[4].spec.seed_offset == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--chunks", "6-8"), "cannot retouch chunks 6 to 8: the take's own are 0 to 7"),
        (("--chunks", "4-3"), "cannot retouch chunks 4 to 3"),
        (("--chunks", "9"), "the take's own are 0 to 7"),
        (("--chunks", "two"), "--chunks is one chunk, or the first and the last"),
        (("--chunks", "2-3-4"), "--chunks is one chunk, or the first and the last"),
        (("--chunks", "2-"), "--chunks is one chunk, or the first and the last"),
        (("--chunks", "٢"), "--chunks is one chunk, or the first and the last"),
        (("--chunks", "2", "--join", 2), "join is at most 3, and no more chunks than are retouched: 2"),
        (("--chunks", "2", "--storyboard", "none.txt"), "cannot read the storyboard"),
        (("--chunks", "2", "--strength", 2), "a strength is a number from 0"),
        (("--chunks", "2", "--strength", "nan"), "a strength is a number from 0"),
        (("--chunks", "2", "--prompt", "a", "--storyboard", "b"), "prompts or --storyboard, not both"),
    ],
)
def test_what_cannot_be_retouched_is_told_before_a_model_is_loaded(command, source, capsys, words, message):
    assert command("retouch", source, *words, *NEW, engine=NEVER) == 2
    assert message in capsys.readouterr().err and not Path("new.magi").exists()


NEVER = object()
"""An engine that nothing can be done with."""


def test_a_take_is_finished_at_another_size(command, source, capsys):
    assert command("finish", source, "--size", "48x32", "--strength", ".3", *NEW) == 0
    assert "note: the take's latents are brought from 32x32 to 48x32\n" in capsys.readouterr().out
    take, engine = resized(load_state(source), 48, 32), tiny_engine(steps=STEPS)
    expected = engine.extend(engine.begin(width=48, height=32, seed=5), WORDS, source=take, strength=0.3)
    assert torch.equal(made().latents, expected.latents) and frames_in("new.mp4") == 192


def test_another_model_finishes_a_take(command, source):
    assert command("finish", source, "--model", "other", *NEW) == 0
    engine, take = tiny_engine(True, steps=STEPS), load_state(source)
    expected = engine.extend(engine.begin(**SIZE, seed=5), list(WORDS), source=take, strength=0.5)
    assert torch.equal(made().latents, expected.latents)
    assert made().fingerprint == engine.fingerprint != take.fingerprint
    assert frames_in("new.mp4") == 192


def interrupted_after(count: int, patches) -> None:
    """Ctrl-C is pressed when so many states have come."""
    engine = type(tiny_engine())
    run = engine.run

    def interrupted(self, *arguments, **how):
        for number, state in enumerate(run(self, *arguments, **how), start=1):
            yield state
            if number == count:
                os.kill(os.getpid(), signal.SIGINT)

    patches.setattr(engine, "run", interrupted)


PASSES = [
    ("restyle", "--prompt", "a tree", "--seed", 9),
    ("finish", "--model", "other"),
    ("retouch", "--chunks", "1-5", "--prompt", "a tree", "--strength", 0.7, "--join", 1),
]


@pytest.mark.parametrize("words", PASSES, ids=lambda words: words[0])
def test_after_ctrl_c_the_same_command_goes_on(command, source, words, capsys, monkeypatch):
    name, *words = words
    assert command(name, source, *words, "--save", "whole.magi") == 0
    engine = tiny_engine(name == "finish", steps=STEPS)
    with monkeypatch.context() as patches:
        interrupted_after(2, patches)
        assert command(name, source, *words, *NEW, engine=engine) == 130
    assert "to go on: the same command again" in capsys.readouterr().err
    assert 2 <= made().finished < 8
    assert command("extend", "new.magi") == 2
    assert "broken off in a second pass" in capsys.readouterr().err
    assert command(name, source, *words, *NEW, engine=tiny_engine(name == "finish", steps=STEPS)) == 0
    printed = capsys.readouterr().out
    assert " remembered, " in printed and " to make" in printed
    assert torch.equal(made().latents, load_state("whole.magi").latents) and frames_in("new.mp4") == 192
    jumps = [[note for note in take.notes if "expect a jump" in note] for take in (made(), load_state("whole.magi"))]
    assert sorted(jumps[0]) == sorted(jumps[1])
    assert not Path("new_2.magi").exists()


KILLED = """
import os, sys
from magi_core.cli.main import main
from tools.small_models import tiny_engine
engine = tiny_engine(steps={steps})
run = type(engine).run
def killed(self, *arguments, **how):
    for number, state in enumerate(run(self, *arguments, **how), start=1):
        if number == 4:
            os.kill(os.getpid(), 9)
        yield state
type(engine).run = killed
main(sys.argv[1:], load=lambda *_, **__: engine)
"""


def test_after_a_kill_the_same_command_goes_on(command, tmp_path, capsys):
    flashing(tmp_path / "given.mkv", 8, sound="flac")
    words = ("given.mkv", "--prompt", "a tree", "--width", "32", "--height", "32")
    assert command("restyle", *words, "--save", "whole.magi") == 0
    code = KILLED.format(steps=STEPS)
    root = str(Path(__file__).parents[3])
    killed = subprocess.run(
        [sys.executable, "-c", code, "restyle", *words, *NEW, "--model", "model"],
        env=os.environ | {"PYTHONPATH": root},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL and load_state("new.magi").finished == 3
    capsys.readouterr()
    assert command("restyle", *words, *NEW, engine=tiny_engine(steps=STEPS)) == 0
    assert "chunks 0-2 remembered, 3-7 to make" in capsys.readouterr().out
    assert torch.equal(made().latents, load_state("whole.magi").latents) and frames_in("new.mp4") == 192


def test_a_damaged_or_wrong_source_is_refused_before_a_model_is_loaded(command, source, capsys):
    content = source.read_bytes()
    Path("damaged.magi").write_bytes(content[:-100])
    Path("text.mp4").write_text("hello")
    Path("loop.magi").symlink_to("loop.magi")
    for words, message in (
        (("restyle", "loop.magi"), "cannot be looked for"),
        (("restyle", "a\0b"), "cannot be looked for"),
        (("restyle", "damaged.magi"), "damaged.magi"),
        (("restyle", "none.magi"), "none.magi"),
        (("restyle", "none.mp4"), "there is no video at none.mp4"),
        (("restyle", "text.mp4"), "text.mp4 cannot be read as a video"),
        (("restyle", ".."), "is a folder"),
        (("restyle", ""), "empty"),
        (("finish", "text.mp4"), "finish needs a saved take (.magi): 'text.mp4'"),
        (("restyle", source, "--width", 40), "width must be a multiple of 16: 40 -> use 32 or 48"),
        (("finish", source, "--size", "٦٤x٦٤"), "--size is a width and a height in pixels"),
        (("finish", source, "--size", "64"), "--size is a width and a height in pixels, such as 1280x720: '64'"),
        (("finish", source, "--size", "64x40"), "height must be a multiple of 16: 40 -> use 32 or 48"),
    ):
        assert command(*words, *NEW, engine=NEVER) == 2, words
        assert message in capsys.readouterr().err
    assert command("restyle", source, "--save", source, engine=NEVER) == 2
    assert "needs a name of its own" in capsys.readouterr().err and source.read_bytes() == content


def test_a_video_is_never_written_over_by_what_is_made_of_it(command, capsys):
    size = ("--width", 32, "--height", 32)
    assert command("render", "red", *size, "--out", "given.mp4") == 0
    before = Path("given.mp4").read_bytes()
    Path("link.mp4").symlink_to("given.mp4")
    for source, out in (("given.mp4", "given.mp4"), ("link.mp4", "given.mp4"), ("given.mp4", "./link.mp4")):
        assert command("restyle", source, *size, "--save", "new.magi", "--out", out, engine=NEVER) == 2
        assert "the new video needs a name of its own" in capsys.readouterr().err
    assert Path("given.mp4").read_bytes() == before


def test_that_another_model_made_the_take_is_told_before_the_run(command, source, capsys):
    assert command("restyle", source, "--prompt", "a tree", *NEW, engine=tiny_engine(True, steps=STEPS)) == 0
    printed = capsys.readouterr().out
    assert printed.count("both must belong to the same VAE") == 1
    assert printed.index("both must belong") < printed.index("wrote new.mp4")


@pytest.mark.parametrize("command_line", ["restyle --prompt tree", "finish", "retouch --chunks 3 --prompt tree"])
def test_that_a_take_s_latents_are_of_another_vae_is_told_once_before_the_run(command, source, command_line, capsys):
    replace(load_state(source), vae="one").save("one.magi")
    name, *words = command_line.split()
    engine = tiny_engine(steps=STEPS)
    assert command(name, "one.magi", *words, *NEW, engine=engine.copy(vae=VAE(engine.vae.model, identity="two"))) == 0
    printed = capsys.readouterr().out
    assert printed.count("another VAE (one) than the one here (two)") == 1
    assert printed.index("another VAE") < printed.index("wrote new.mp4")


def test_a_size_that_cannot_be_is_refused_before_a_video_is_read(command, tmp_path, capsys):
    flashing(tmp_path / "given.mkv", 1, sound="flac")
    assert command("restyle", "given.mkv", "--width", 33, "--height", 32, *NEW, engine=NEVER) == 2
    assert "width" in capsys.readouterr().err


def test_a_take_of_another_vae_is_refused(command, source, capsys):
    take = load_state(source)
    chunks = tuple(replace(record, latent=record.latent[:8].clone()) for record in take.chunks)
    replace(take, channels=8, chunks=chunks, frontier=None, frontiers=()).save("eight.magi")
    assert command("finish", "eight.magi", *NEW) == 2
    assert "latents of 8 channels where this video has 16: its VAE is another" in capsys.readouterr().err
    assert not Path("new.magi").exists() and not Path("new.mp4").exists()
