"""Magi Extend and Magi Rewind: ways to go on, lengths, storyboards, interrupts, autosave, previews."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import load_state
from tools.small_models import WordEncoder

SMALL = {"width": 32, "height": 32, "steps": 4}


@pytest.fixture
def texts(nodes: Any) -> list[str]:
    """Text shown on nodes since the test began."""
    import server

    server.PromptServer.instance.texts.clear()

    class Shown(list):
        def __iter__(self):
            return iter([text for _, text in server.PromptServer.instance.texts])

    return Shown()


def test_continuous_makes_what_one_run_makes(run, model, prompt) -> None:
    whole = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=3, **SMALL)
    part = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=2, **SMALL)
    how = {"model": model, "state": part, "conditioning": prompt("red")}
    assert torch.allclose(run("MagiExtend", **how, handoff="continuous").latents, whole.latents, atol=1e-5)
    assert not torch.allclose(run("MagiExtend", **how).latents, whole.latents, atol=1e-5)


def test_a_chain_left_in_flight_ends_as_one_run(run, model, prompt) -> None:
    whole = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=3, **SMALL)
    model.cache.clear()
    part = run("MagiChunkSampler", model=model, conditioning=prompt("red"), leave_in_flight=True, **SMALL)
    assert part.state.frames == 0 and len(part.state.pending) == 1
    part = run("MagiExtend", model=model, state=part, conditioning=prompt("red"), leave_in_flight=True)
    last = run("MagiExtend", model=model, state=part, conditioning=prompt("red"))
    assert torch.allclose(last.latents, whole.latents, atol=1e-5)


def test_the_price_is_shown_first_and_stays(run, model, prompt, texts) -> None:
    part = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=2, **SMALL)
    price = model.plan(part.state, prompt("blue").embedding).cost.total
    before = len(list(texts))
    run("MagiExtend", model=model, state=part, conditioning=prompt("blue"))
    said = list(texts)[before:]
    assert said[0].startswith(f"{price} chunk-forwards (continuous ")
    assert all(text.endswith(said[0]) for text in said)


def test_a_fallback_is_said_on_the_node(run, model, prompt, texts) -> None:
    part = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=2, **SMALL)
    back = run("MagiRewind", state=part, chunks=1)
    model.cache.clear()
    run("MagiExtend", model=model, state=back, conditioning=prompt("blue"), handoff="continuous")
    assert list(texts)[-1].startswith("the pipeline of this take is not remembered any more")


def test_seconds_end_the_video_to_the_frame(run, model, prompt, vae) -> None:
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), seconds=1.5, chunks=9, **SMALL)
    assert (made.state.finished, made.state.frames) == (2, 36)
    images, _ = run("MagiVAEDecode", vae=vae, state=made)
    assert len(images) == 36
    longer = run("MagiExtend", model=model, state=made, conditioning=prompt("red"), seconds=0.25)
    assert (longer.state.finished, longer.state.frames) == (3, 54)


def test_a_storyboard_brings_its_own_chunks_and_its_last_prompt_goes_on(run, model) -> None:
    board, *_ = run("MagiStoryboard", text_encoder=WordEncoder(), text="0-1: red\n2 [cut]: blue")
    made = run("MagiChunkSampler", model=model, conditioning=board, **SMALL)
    assert [chunk.prompt for chunk in made.state.chunks] == ["red", "red", "blue"]
    longer = run("MagiExtend", model=model, state=made, conditioning=board, chunks=5)
    added = longer.state.chunks[3:]
    assert [chunk.prompt for chunk in added] == ["red", "red", "blue", "blue", "blue"]
    assert [chunk.spec.transition for chunk in added] == ["continue", "continue", "cut", "continue", "continue"]
    cut = run("MagiExtend", model=model, state=made, conditioning=board, seconds=2.0)
    assert [chunk.prompt for chunk in cut.state.chunks[3:]] == ["red", "red"]


def test_after_an_interrupt_a_run_goes_on_where_it_was(run, model, prompt, monkeypatch) -> None:
    import comfy.model_management as management

    forwards = 0

    def count(module, inputs, output) -> None:
        nonlocal forwards
        forwards += 1

    def sample() -> Any:
        return run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=4, **SMALL | {"steps": 8})

    hook = model.dit.register_forward_hook(count)
    try:
        whole = sample()
        needed, forwards = forwards, 0
        model.cache.clear()
        monkeypatch.setattr(management, "processing_interrupted", lambda: forwards >= needed - 3)
        management.interrupted = True
        with pytest.raises(management.InterruptProcessingException):
            sample()
        done, forwards = forwards, 0
        monkeypatch.undo()
        again = sample()
    finally:
        hook.remove()
    assert done == needed - 3
    assert forwards < needed / 2  # what follows the last chunk's entry is done again
    assert torch.allclose(again.latents, whole.latents, atol=1e-5)


def test_autosave_keeps_the_chunks_that_an_interrupt_left(run, model, prompt, monkeypatch) -> None:
    import comfy.model_management as management
    import folder_paths

    finished = 0

    def count(module, inputs, output) -> None:
        nonlocal finished
        finished = len(model.cache.chunks._entries)

    hook = model.dit.register_forward_hook(count)
    monkeypatch.setattr(management, "processing_interrupted", lambda: finished >= 2)
    management.interrupted = True
    try:
        with pytest.raises(management.InterruptProcessingException):
            run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=4, autosave="kept", **SMALL)
    finally:
        hook.remove()
    saved = load_state(Path(folder_paths.get_output_directory()) / "magi" / "kept.magi")
    assert len(saved.chunks) == 2


@pytest.fixture
def interrupted(run, model, prompt, monkeypatch) -> Any:
    """`interrupted(2, autosave="ball")`: Magi Chunk Sampler, interrupted when two of five chunks are finished."""
    import comfy.model_management as management

    def sample(after: int, **how: Any) -> None:
        counted = 0

        def count(module, inputs, output) -> None:
            nonlocal counted
            counted = len(model.cache.chunks._entries)

        hook = model.dit.register_forward_hook(count)
        with monkeypatch.context() as patches:
            patches.setattr(management, "processing_interrupted", lambda: counted >= after)
            management.interrupted = True
            with pytest.raises(management.InterruptProcessingException):
                run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=5, **SMALL | how)
        hook.remove()
        management.interrupted = False
        model.cache.clear()  # as after a crash

    return sample


def _take(name: str) -> Path:
    import folder_paths

    return Path(folder_paths.get_output_directory()) / "magi" / f"{name}.magi"


@pytest.mark.parametrize("after", [1, 3])
def test_the_same_workflow_goes_on_from_its_autosave_as_the_very_same_video(
    run, model, prompt, interrupted, after
) -> None:
    name = f"resumed {after}"
    how = {"model": model, "conditioning": prompt("red"), "chunks": 5, **SMALL}
    calls: list[int] = []
    hook = model.dit.register_forward_hook(lambda *_: calls.append(1))
    whole = run("MagiChunkSampler", **how)
    of_all = len(calls)
    model.cache.clear()
    interrupted(after, autosave=name)
    assert len(load_state(_take(name)).chunks) == after
    calls.clear()
    again = run("MagiChunkSampler", **how, autosave=name)
    hook.remove()
    assert torch.equal(again.latents, whole.latents) and again.state.frontier.key == whole.state.frontier.key
    assert load_state(_take(name)).finished == 5 and not _take(f"{name}_2").exists()
    assert 0 < len(calls) < of_all


def test_extend_takes_up_a_run_that_was_broken_off(run, model, prompt, interrupted, texts) -> None:
    whole = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=5, **SMALL)
    model.cache.clear()
    interrupted(2, autosave="loaded")
    loaded = run("MagiLoadState", take="magi/loaded.magi [output]")
    assert sum(tensor.numel() for tensor in loaded.tensors) > loaded.latents.numel(), "ComfyUI counts what is in flight"
    made = run("MagiExtend", model=model, state=loaded, conditioning=prompt("red"), chunks=3)
    assert torch.equal(made.latents, whole.latents)
    assert list(texts)[-1].startswith("the run that was broken off goes on")
    other = run("MagiExtend", model=model, state=loaded, conditioning=prompt("blue"), chunks=3)
    assert [chunk.prompt for chunk in other.state.chunks] == ["red", "red", "blue", "blue", "blue"]


def test_autosave_leaves_a_take_of_another_seed_alone_and_says_so(run, model, prompt, interrupted, texts) -> None:
    first = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=3, autosave="old", **SMALL)
    model.cache.clear()
    interrupted(1, autosave="old", seed=8)
    assert torch.equal(load_state(_take("old")).latents, first.latents)
    assert (load_state(_take("old_2")).finished, load_state(_take("old_2")).seed) == (1, 8)
    run("MagiChunkSampler", model=model, conditioning=prompt("blue"), autosave="old", **SMALL)
    assert "old.magi holds another take, which stays as it is: this one is saved as old_3.magi" in list(texts)[-1]


@pytest.mark.parametrize("name", ["../kept", "/tmp/kept", "a/../../b"])
def test_autosave_stays_in_its_folder(run, model, prompt, name: str) -> None:
    with pytest.raises(MagiError, match="takes are saved in output/magi"):
        run("MagiChunkSampler", model=model, conditioning=prompt("red"), autosave=name, **SMALL)


def test_out_of_memory_names_what_helps(run, model, prompt) -> None:
    import comfy.model_management as management

    def fail(*_: Any) -> None:
        raise management.OOM_EXCEPTION("no room")

    hook = model.dit.register_forward_pre_hook(fail)
    try:
        with pytest.raises(MagiError, match="width and height smaller, lower the window .* K/V pages less room"):
            run("MagiChunkSampler", model=model, conditioning=prompt("red"), **SMALL)
    finally:
        hook.remove()


@pytest.mark.parametrize("failure", [OSError("no space left on device"), RuntimeError("no such codec")])
def test_a_run_goes_on_without_clips_that_fail(run, part, model, prompt, vae, monkeypatch, failure) -> None:
    import server

    def refuse(*args: object, **named: object) -> None:
        raise failure

    monkeypatch.setattr(part("desk.clips"), "write_video", refuse)
    server.PromptServer.instance.events.clear()
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), vae=vae, chunks=2, **SMALL)
    assert made.state.finished == 2
    assert not [event for event, _ in server.PromptServer.instance.events if event == "magi.clip"]


def test_a_chunk_is_seen_before_its_clip_is_written(run, part, model, prompt, vae, monkeypatch) -> None:
    import server

    events, clips = server.PromptServer.instance.events, part("desk.clips")
    taken, write = [], clips.write_video

    def watched(path: object, blocks: Any, *given: object, **named: object) -> int:
        def seen() -> Any:
            for block in blocks:
                told = [data["index"] for event, data in events if event == "magi.still" and data["t"] == 1]
                taken.append((told, len(block)))
                yield block

        return write(path, seen(), *given, **named)

    monkeypatch.setattr(clips, "write_video", watched)
    events.clear()
    run("MagiChunkSampler", model=model, conditioning=prompt("red"), vae=vae, chunks=2, **SMALL | {"seed": 78})
    assert {tuple(told) for told, _ in taken} == {(0,), (0, 1)}
    assert taken[0][1] == 12, "it is in half a chunk"


def test_plan_stills_and_clips_are_told_while_it_runs(run, model, prompt, vae) -> None:
    import av
    import folder_paths
    import server

    events = server.PromptServer.instance.events
    events.clear()
    how = {"model": model, "conditioning": prompt("red"), "chunks": 3, "vae": vae, **SMALL | {"steps": 16}}
    made = run("MagiChunkSampler", **how)
    told = {name: [data for event, data in events if event == name] for name, _ in events}
    keys = [chunk.key for chunk in made.state.chunks]
    assert events[0][0] == "magi.plan" and events[-1][0] == "magi.ended"
    assert [(chunk["key"], chunk["kind"]) for chunk in told["magi.plan"][0]["chunks"]] == [
        (k, "computed") for k in keys
    ]
    assert [(clip["node_id"], clip["key"], clip["index"]) for clip in told["magi.clip"]] == [
        ("1", key, index) for index, key in enumerate(keys)
    ]
    finished = [still["key"] for still in told["magi.still"] if still["t"] == 1]
    assert finished == keys
    in_flight = {still["key"] for still in told["magi.still"] if still["t"] < 1}
    assert in_flight == set(keys), "every chunk in flight has its still"
    last = told["magi.progress"][-1]
    assert last["step"] == last["steps"] and last["seconds_left"] is not None
    assert told["magi.ended"][0]["status"] == "done" and len({data["run"] for _, data in events}) == 1
    with av.open(str(Path(folder_paths.get_temp_directory()) / told["magi.clip"][0]["filename"])) as file:
        assert sum(1 for _ in file.decode(video=0)) == 24

    files = [clip["filename"] for clip in told["magi.clip"]]
    events.clear()
    run("MagiChunkSampler", **how)
    told = [(event, data.get("filename")) for event, data in events]
    expected = [("magi.plan", None), *(("magi.clip", file) for file in files), ("magi.ended", None)]
    assert told == expected, "remembered chunks have their clips at once"
    longer = run("MagiExtend", model=model, state=made, conditioning=prompt("blue"), vae=vae)
    kept = [data for event, data in events if event == "magi.clip"]
    assert [clip["key"] for clip in kept[3:]] == [chunk.key for chunk in longer.state.chunks]


def test_a_chunk_has_a_still_from_its_first_step_on(run, model, prompt, vae) -> None:
    import server

    events = server.PromptServer.instance.events
    events.clear()
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=4, vae=vae, **SMALL | {"seed": 77})
    first: dict[str, float] = {}
    for name, data in events:
        if name == "magi.still":
            first.setdefault(data["key"], data["t"])
    seen = [first[chunk.key] for chunk in made.state.chunks]
    assert seen == seen[:1] * 4 and seen[0] < 0.5


def test_clips_of_chunks_that_came_from_elsewhere_are_made_once_sampling_has_begun(run, model, prompt, vae) -> None:
    import server

    how = {"model": model, "seed": 6, **SMALL}
    made = run("MagiChunkSampler", conditioning=prompt("red"), chunks=2, **how)  # without a VAE: no clips
    events = server.PromptServer.instance.events
    events.clear()
    longer = run("MagiExtend", model=model, state=made, conditioning=prompt("blue"), vae=vae)
    names = [event for event, _ in events]
    assert names.index("magi.progress") < names.index("magi.clip")
    clips = {data["key"] for event, data in events if event == "magi.clip"}
    assert clips == {chunk.key for chunk in longer.state.chunks}


def test_a_run_that_fails_says_why(run, model, prompt) -> None:
    import server

    server.PromptServer.instance.events.clear()
    with pytest.raises(MagiError):
        run("MagiChunkSampler", model=model, conditioning=prompt("red"), **SMALL | {"width": 725})
    (event, data), *more = server.PromptServer.instance.events
    assert (event, data["status"], more) == ("magi.ended", "failed", [])
    assert "width must be a multiple of 16" in data["sentence"]


def test_a_vae_of_another_model_is_refused_before_any_work(run, model, prompt) -> None:
    with pytest.raises(MagiError, match="this VAE belongs to another model"):
        run("MagiChunkSampler", model=model, conditioning=prompt("red"), vae=object(), **SMALL)


def test_rewind_goes_back_and_says_whether_it_is_exact(run, model, prompt, texts) -> None:
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=3, **SMALL)
    back = run("MagiRewind", state=made, model=model)
    assert len(back.state.chunks) == 2 and back.state.frames == 48
    assert list(texts)[-1] == "back at 2 chunks: continuous goes on exactly as the long run would have"
    other = run("MagiExtend", model=model, state=back, conditioning=prompt("red"), handoff="continuous")
    assert torch.allclose(other.latents, made.latents, atol=1e-5)


def test_a_size_of_0_is_the_model_s_own_and_is_shown(run, model, prompt, texts) -> None:
    made = run("MagiChunkSampler", model=model, conditioning=prompt("red"), steps=4)
    assert (made.state.width, made.state.height) == (32, 32)
    assert "the model's own: 32x32, text guidance 7.5" in list(texts)[-1]
    mixed = run("MagiChunkSampler", model=model, conditioning=prompt("red"), steps=4, width=48)
    assert (mixed.state.width, mixed.state.height) == (48, 32)


def test_a_far_off_size_is_warned_of_before_the_first_step(run, model, prompt, texts) -> None:
    run("MagiChunkSampler", model=model, conditioning=prompt("red"), steps=4, width=96, height=96)
    assert list(texts)[0].startswith("96x96 is far from what this model was made for (32x32)")
    assert "96x96 is far" in list(texts)[-1]


def test_a_story_that_is_told_twice_is_noted(run, model, texts) -> None:
    board, *_ = run("MagiStoryboard", text_encoder=WordEncoder(), text="0: red\n1 [cut]: blue")
    made = run("MagiChunkSampler", model=model, conditioning=board, **SMALL)
    assert "told a second time" not in list(texts)[-1]
    run("MagiExtend", model=model, state=made, conditioning=board)
    assert "this storyboard is in the video already and is told a second time" in list(texts)[-1]


def test_which_length_decided_is_said(run, model, texts) -> None:
    board, *_ = run("MagiStoryboard", text_encoder=WordEncoder(), text="0: red\n1: blue\n2: red")
    run("MagiChunkSampler", model=model, conditioning=board, chunks=2, total_chunks=2, **SMALL)
    assert "the storyboard decides: its 3 chunks are made, chunks says 2" in list(texts)[-1]
    assert "total_chunks announces 2 chunks, and this makes 3" in list(texts)[-1]
