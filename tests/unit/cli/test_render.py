"""`render`: what is asked for is rendered, what cannot be is refused before a model is loaded."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest
import torch
from PIL import Image

from magi_core.cli.main import main
from magi_core.config import Guidance, SamplingSettings
from magi_core.sampling.cost import Cost
from magi_core.sampling.extension import ChunkFate
from magi_core.state import ChunkRecord, PlacedChunk, SamplerState
from magi_core.state.state import Cancelled
from magi_core.story.storyboard import parse_storyboard
from magi_core.text import PromptEmbedding
from magi_core.video import read_video, write_video

STEPS = 3


@dataclass
class StandIn:
    """An engine that paints chunk k grey 40 k + 20 and remembers what it was asked."""

    settings: SamplingSettings = field(default_factory=SamplingSettings)
    asked: dict = field(default_factory=dict)
    special_tokens: object = "present"
    interrupt_in_chunk: int | None = None
    interrupt_decoding: int | None = None

    def load(self, model, **options):
        self.asked["load"] = {"model": model, **options}
        return self

    def with_settings(self, **changes):
        self.settings = self.settings.with_changes(**changes)
        return self

    def encode_prompt(self, prompt):
        notes = ("prompt cut to 800 tokens",) if len(prompt) > 1000 else ()
        return PromptEmbedding(prompt, torch.zeros(1, 4), notes)

    def begin(self, *, width, height, seed, fps, image, video, total_chunks):
        self.asked["begin"] = {"image": image, "video": video, "total_chunks": total_chunks, "seed": seed}
        given = 1 if image is not None else 0 if video is None else -(-len(video) // 4)
        prefix = torch.zeros(1, 4, given, height // 8, width // 8) if given else None
        return SamplerState(width, height, fps, seed, self.settings, channels=4, prefix=prefix)

    def plan(self, state, prompts, *, end):
        self.asked["prompts"] = [prompt.spec.prompt for prompt in prompts]
        self.asked["story"] = [prompt.spec for prompt in prompts]
        self.asked["end"] = end
        new = {state.next_chunk + place: prompt for place, prompt in enumerate(prompts)}
        fates = [ChunkFate(index, "", "computed") for index in new]
        return SimpleNamespace(given=state, new=new, chunks=fates, cost=Cost(), drain=True)

    def run(self, extension, *, on_step, cancelled):
        state, prompts = extension.given, extension.new.values()
        for done, prompt in enumerate(prompts):
            for step in range(STEPS):
                if cancelled():
                    raise Cancelled(state)
                if self.interrupt_in_chunk == done:
                    os.kill(os.getpid(), signal.SIGINT)
                on_step(SimpleNamespace(done=done, step=done * STEPS + step + 1, steps=len(prompts) * STEPS))
            place = PlacedChunk(state.next_chunk, prompt.spec, state.seed)
            state = state.with_chunk(ChunkRecord(place, torch.zeros(state.latent_shape)))
            yield state

    def decode(self, state, *, start, stop):
        for chunk in range(start, stop):
            for frames in (10, 10, 4):
                if self.interrupt_decoding == chunk and frames == 4:
                    os.kill(os.getpid(), signal.SIGINT)
                    os.kill(os.getpid(), signal.SIGINT)
                yield torch.full((frames, state.height, state.width, 3), 40 * chunk + 20, dtype=torch.uint8)


@pytest.fixture
def render(tmp_path, monkeypatch):
    """Runs `render` with a stand-in engine in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()

    def run(*arguments, engine=None, size=("--width", "64", "--height", "64")) -> int:
        load = (engine or StandIn()).load
        return main(["render", "--model", "model", "--out", "a.mp4", *size, *map(str, arguments)], load=load)

    return run


def greys(path="a.mp4") -> list[int]:
    return ((read_video(path).frames.float().mean(dim=(1, 2, 3)) - 20) / 40).round().int().tolist()


# --- what is rendered ---------------------------------------------------------------------------------------


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
    assert engine.asked["begin"]["video"].shape == (30, 64, 64, 3)
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
        "--look-3d",
        "--avoid-logos",
        "--no-duration-tokens",
    ]
    assert render("a", *options, engine=engine) == 0
    settings = engine.settings
    assert (settings.steps, settings.window, settings.kv_ranges, settings.clean_kv_range) == (12, 2, (4, 2), 2)
    assert settings.guidance == Guidance.simple(5.0, 1.5)
    assert (settings.nearly_clean_blend, settings.shortcut) == (0.5, "16,16,8")
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


# --- what is refused ----------------------------------------------------------------------------------------

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


def test_missing_special_tokens_are_said_with_both_ways_out(render, capsys):
    assert render("a", engine=StandIn(special_tokens=None)) == 2
    error = capsys.readouterr().err
    assert "special_tokens.npz" in error and "--no-special-tokens" in error
    assert render("a", "--no-special-tokens", engine=StandIn(special_tokens=None)) == 0


def test_one_side_alone_is_refused(render, capsys):
    assert render("a", "--width", 64, size=()) == 2
    assert "give both --width and --height" in capsys.readouterr().err


def test_a_command_is_needed(capsys):
    assert main([]) == 2
    assert main(["fly"]) == 2
    assert "Traceback" not in capsys.readouterr().err


# --- Ctrl-C -------------------------------------------------------------------------------------------------


def test_ctrl_c_writes_the_finished_chunks(render, tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)
    engine = StandIn(interrupt_in_chunk=2)
    assert render(*"abcd", "--contact-sheet", "s.png", engine=engine) == 130
    assert greys() == [0] * 24 + [1] * 24
    assert (tmp_path / "s.png").exists()
    printed = capsys.readouterr()
    assert "wrote a.mp4: 2 of 4 chunks, 48 frames" in printed.out
    assert "stopping" in printed.err
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_the_first_chunk_writes_nothing(render, capsys):
    assert render("a", "b", engine=StandIn(interrupt_in_chunk=0)) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert os.listdir() == ["model"]


def test_ctrl_c_twice_while_decoding_keeps_the_whole_chunks_until_then(render, capsys):
    assert render(*"abc", engine=StandIn(interrupt_decoding=1)) == 130
    assert greys() == [0] * 24
    printed = capsys.readouterr()
    assert "1 of 3 chunks, 24 frames" in printed.out and "Ctrl-C again: stop at once" in printed.err


def test_a_stopped_video_says_how_to_go_on(render, capsys):
    assert render("a", "it's b", "--chunks", 4, engine=StandIn(interrupt_in_chunk=2)) == 130
    assert """render 'it'"'"'s b' --chunks 2 --video a.mp4 --model model""" in capsys.readouterr().err


def test_ctrl_c_before_sampling_is_no_traceback(render, capsys, monkeypatch):
    engine = StandIn()
    monkeypatch.setattr(engine, "encode_prompt", lambda prompt: (_ for _ in ()).throw(KeyboardInterrupt))
    assert render("a", engine=engine) == 130
    assert "Traceback" not in capsys.readouterr().err
