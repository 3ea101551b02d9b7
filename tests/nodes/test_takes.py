"""Takes on disk: saved, listed, loaded, described."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
from tools.small_models import WordEncoder

SMALL = {"width": 32, "height": 32, "steps": 4}


@pytest.fixture
def take(run: Any, engine: Any, prompt: Any) -> Any:
    return run("MagiChunkSampler", model=engine, conditioning=prompt("red"), chunks=2, seed=4, **SMALL)


@pytest.fixture
def folders(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Output and input folders of this test's own."""
    import folder_paths

    for name in ("input", "output"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


def _listed(nodes: dict[str, Any]) -> list[str]:
    return nodes["MagiLoadState"].define_schema().inputs[0].options["options"]


def _said() -> str:
    import server

    return server.PromptServer.instance.texts[-1][1]


def test_a_saved_take_is_listed_and_loads_bit_for_bit(run, nodes, folders, take) -> None:
    assert _listed(nodes) == []
    assert run("MagiSaveState", state=take, filename_prefix="scene/ball") is take
    assert _said() == "saved output/magi/scene/ball_00001_.magi"
    run("MagiSaveState", state=take, filename_prefix="scene/ball")
    names = {f"magi/scene/ball_0000{n}_.magi [output]" for n in (1, 2)}
    assert set(_listed(nodes)) == names
    assert torch.equal(run("MagiLoadState", take=names.pop()).latents, take.latents)


def test_takes_in_the_input_folder_are_listed(nodes, folders, run, take) -> None:
    take.state.save(folders / "input" / "given.magi")
    assert _listed(nodes) == ["given.magi [input]"]
    assert torch.equal(run("MagiLoadState", take="given.magi [input]").latents, take.latents)


def test_a_changed_file_is_loaded_again(nodes, folders, take) -> None:
    path, name = folders / "input" / "given.magi", "given.magi [input]"
    take.state.save(path)
    mark = nodes["MagiLoadState"].fingerprint_inputs
    first = mark(take=name, model=None)
    assert mark(take=name) == first
    take.state.at(1).save(path)
    assert mark(take=name) != first


@pytest.mark.parametrize("name", ["../secret.magi [input]", "/etc/passwd", "../../x [output]", "", "given.magi"])
def test_names_that_are_not_listed_are_refused(run, folders, take, name: str) -> None:
    take.state.save(folders / "secret.magi")
    with pytest.raises(MagiError, match="there is no saved take called"):
        run("MagiLoadState", take=name)


@pytest.mark.parametrize("prefix", ["../out", "/tmp/out", "", "a/../../b"])
def test_takes_are_saved_in_their_folder_only(run, folders, take, prefix: str) -> None:
    with pytest.raises(MagiError, match="takes are saved in output/magi"):
        run("MagiSaveState", state=take, filename_prefix=prefix)


def test_other_weights_are_said_when_a_take_is_loaded(run, folders, engine, take) -> None:
    replace(take.state, fingerprint="another").save(folders / "input" / "given.magi")
    run("MagiLoadState", take="given.magi [input]", model=engine)
    assert _said().startswith("not the model of this take: other weights")


def test_all_frontiers_let_a_rewind_be_exact_another_day(run, nodes, folders, engine, prompt) -> None:
    model = engine.copy(cache=type(engine.cache)())
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=3, **SMALL)
    with pytest.raises(MagiError, match="all_frontiers needs the model"):
        run("MagiSaveState", state=made, all_frontiers=True)
    run("MagiSaveState", state=made, all_frontiers=True, model=model)
    another_day = engine.copy(cache=type(engine.cache)())
    back = run("MagiRewind", state=run("MagiLoadState", take=_listed(nodes)[0]), chunks=2)
    again = run("MagiExtend", model=another_day, state=back, conditioning=prompt("red"), handoff="continuous")
    assert torch.allclose(again.latents, made.latents, atol=1e-5)


def test_info_describes_and_draws(run, nodes, engine, vae, take) -> None:
    text, sheet = run("MagiStateInfo", state=take, vae=vae, model=engine)
    assert "2 chunks, 48 frames, 2.00 s at 24 fps, 32x32, seed 4" in text
    assert "0-1: red · seed 4" in text and "remembered chunks:" in text
    assert sheet.shape[0] == 1 and sheet.shape[-1] == 3 and 0 <= sheet.min() < sheet.max() <= 1
    assert _said() == text


def test_info_without_a_vae_blocks_what_wants_the_sheet(run, take) -> None:
    from comfy_execution.graph_utils import ExecutionBlocker

    text, sheet = run("MagiStateInfo", state=take)
    assert "0-1: red" in text and isinstance(sheet, ExecutionBlocker)


def test_storyboard_gives_conditioning_board_and_count(run) -> None:
    encoder = WordEncoder()
    conditioning, board, chunks = run("MagiStoryboard", text_encoder=encoder, text="0-1: red\n2 [reroll 2]: blue")
    assert chunks == len(board) == len(conditioning.chunks) == 3
    assert len(conditioning.tokens) == 2  # equal prompts are one tensor
    assert run("MagiStoryboardPrompt", storyboard=board, chunk=-1) == ("blue", "[reroll 2]")
    assert run("MagiStoryboardPrompt", storyboard=board) == ("red", "")
    with pytest.raises(MagiError, match="chunks 0 to 2; there is no chunk 3"):
        run("MagiStoryboardPrompt", storyboard=board, chunk=3)


def test_seconds_in_a_storyboard_follow_its_rate(run) -> None:
    text = "0s-4s: red\n4s-6s: blue"
    assert run("MagiStoryboard", text_encoder=WordEncoder(), text=text, fps=12.0)[2] == 3
    assert run("MagiStoryboard", text_encoder=WordEncoder(), text=text)[2] == 6


def test_a_wrong_line_is_said_before_anything_runs(nodes) -> None:
    check = nodes["MagiStoryboard"].validate_inputs
    assert check(text="0: red\n1: blue", fps=24.0) is True
    assert check(text=None, fps=24.0) is True  # comes from another node
    assert check(text="0: red\n0: blue", fps=24.0).startswith("line 2: chunk 0 already has a prompt")


def test_a_file_holds_all_frames_and_what_it_was_made_from(run, folders, engine, prompt, vae) -> None:
    import av

    made = run("MagiChunkSampler", model=engine, conditioning=prompt("red"), seconds=1.5, **SMALL)
    video = run("MagiDecodeToFile", vae=vae, state=made)
    assert Path(video.path) == folders / "output" / "video" / "magi_00001_.mp4"
    with av.open(video.path) as file:
        tags = file.metadata
        assert sum(1 for _ in file.decode(video=0)) == 36
    assert tags["workflow"] == '{"nodes": []}' and '"prompt": "red"' in tags["storyboard"]
    assert Path(run("MagiDecodeToFile", vae=vae, state=made).path).name == "magi_00002_.mp4"


@pytest.mark.parametrize("prefix", ["../out", "/tmp/out", "a/../../b", " "])
def test_files_stay_in_the_output_folder(run, folders, vae, take, prefix: str) -> None:
    with pytest.raises(MagiError, match="videos are saved in ComfyUI's output folder"):
        run("MagiDecodeToFile", vae=vae, state=take, filename_prefix=prefix)


def test_nothing_to_decode_is_said(run, folders, engine, prompt, vae) -> None:
    made = run("MagiChunkSampler", model=engine, conditioning=prompt("red"), leave_in_flight=True, seed=99, **SMALL)
    with pytest.raises(MagiError, match="there is nothing to decode yet"):
        run("MagiDecodeToFile", vae=vae, state=made)
    assert not list((folders / "output").rglob("*.mp4"))


def test_an_interrupted_file_keeps_its_whole_chunks(run, folders, engine, prompt, vae, monkeypatch) -> None:
    import av
    import comfy.model_management as management

    made = run("MagiChunkSampler", model=engine, conditioning=prompt("red"), chunks=3, **SMALL)
    blocks = 0

    def interrupt() -> None:
        nonlocal blocks
        blocks += 1
        if blocks > 5:  # a chunk is two blocks here
            raise management.InterruptProcessingException

    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
    with pytest.raises(management.InterruptProcessingException):
        run("MagiDecodeToFile", vae=vae, state=made)
    with av.open(str(folders / "output" / "video" / "magi_00001_.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 48


def test_names_are_filled_in(run, folders, engine, take, vae) -> None:
    run("MagiSaveState", state=take, filename_prefix="%width%/ball %year%")
    run("MagiDecodeToFile", vae=vae, state=take, filename_prefix="%width%x%height%")
    names = [
        path.relative_to(folders / "output").as_posix() for path in (folders / "output").rglob("*.m*") if path.is_file()
    ]
    assert "32x32_00001_.mp4" in names and any(name.startswith("magi/32/ball 2") for name in names)


def test_prompts_are_encoded_as_typed_where_cleaning_is_off(run) -> None:
    class Typed(WordEncoder):
        def as_typed(self):
            return Other()

    class Other(WordEncoder):
        def encode(self, prompt):
            return replace(super().encode(prompt), notes=("as typed",))

    assert run("MagiTextEncode", text_encoder=Typed(), prompt="C3PO").embedding.notes == ()
    assert run("MagiTextEncode", text_encoder=Typed(), prompt="C3PO", clean=False).embedding.notes == ("as typed",)
    board, *_ = run("MagiStoryboard", text_encoder=Typed(), text="0: C3PO", clean=False)
    assert board.chunks[0].text.notes == ("as typed",)


def test_a_storyboard_says_what_it_makes_before_it_encodes(run, said) -> None:
    run("MagiStoryboard", text_encoder=WordEncoder(), text="0: red\n100s-200s: blue")
    assert said()[0] == "no line names chunks 1 to 99: chunk 0 goes on"


def test_a_storyboard_says_nothing_where_its_timeline_has_said_all(run, said) -> None:
    run("MagiStoryboard", text_encoder=WordEncoder(), text="0: red\n1: blue")
    assert not said()
