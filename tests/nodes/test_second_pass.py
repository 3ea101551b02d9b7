"""Magi Second Pass and Magi Retouch: what they make, keep, cost, and refuse."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.state import load_state, resized
from tests.unit.video.sounds import RATE, beeps, flashing, starts
from tools.small_models import WordEncoder

SMALL = {"width": 32, "height": 32, "steps": 4}
WORDS = ("red", "blue", "green", "red", "blue", "green", "red")


@pytest.fixture
def board(run: Any) -> Any:
    return lambda text: run("MagiStoryboard", text_encoder=WordEncoder(), text=text)[0]


@pytest.fixture
def take(run: Any, model: Any, board: Any) -> Any:
    """Seven chunks, each with a word of its own."""
    text = "\n".join(f"{index}: {word}" for index, word in enumerate(WORDS))
    return run("MagiChunkSampler", model=model, conditioning=board(text), **SMALL | {"seed": 5})


@pytest.fixture
def again(run: Any, model: Any) -> Any:
    return lambda **given: run("MagiSecondPass", **{"model": model, "steps": 4} | given)


@pytest.fixture
def retouch(run: Any, model: Any) -> Any:
    encoder = WordEncoder()
    return lambda **given: run("MagiRetouch", **{"model": model, "text_encoder": encoder} | given)


def from_file(path: Path, **part: float) -> Any:
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path), **part)


def same(made: Any, before: Any) -> list[bool]:
    pairs = ((made.state.chunk_latent(i), before.state.chunk_latent(i)) for i in range(made.state.finished))
    return list(itertools.starmap(torch.equal, pairs))


def words(made: Any) -> tuple[str, ...]:
    return tuple(chunk.prompt for chunk in made.state.chunks)


def test_a_take_is_made_again_with_other_words(again, model, take, prompt) -> None:
    made = again(state=take, conditioning=prompt("a tree"), seed=9)
    engine = model.with_settings(steps=4)
    begun = engine.begin(width=32, height=32, seed=9)
    expected = engine.extend(begun, [prompt("a tree").embedding] * 7, source=take.state, strength=0.5)
    assert torch.equal(made.latents, expected.latents) and not any(same(made, take))
    assert words(made) == ("a tree",) * 7


def test_without_words_a_take_keeps_its_own_and_its_own_seed(again, take) -> None:
    made = again(state=take, text_encoder=WordEncoder(), strength=1.0)
    assert words(made) == WORDS and made.state.seed == 5 and all(same(made, take))


def test_words_that_nothing_reads_are_asked_for_before_any_work(again, take) -> None:
    with pytest.raises(MagiError, match="connect conditioning, .* or text_encoder"):
        again(state=take)


def test_strength_0_keeps_all_of_it_and_makes_no_forward(again, model, take, prompt) -> None:
    calls: list[int] = []
    hook = model.dit.register_forward_hook(lambda *_: calls.append(1))
    made = again(state=take, conditioning=prompt("a tree"), seed=9, strength=0.0)
    hook.remove()
    assert all(same(made, take)) and not calls and words(made) == WORDS


def test_a_storyboard_says_how_much_of_each_chunk_and_what_is_left_over_is_told(again, take, board, said) -> None:
    made = again(state=take, conditioning=board("0-2 [strength 0]: red\n3-8: a tree"), seed=9)
    assert same(made, take) == [True] * 3 + [False] * 4
    assert any("7 chunks are made anew, where the storyboard has 9; the rest is left out" in text for text in said())


def test_another_model_finishes_a_draft_and_says_that_both_need_one_vae(again, model, take, said) -> None:
    from dataclasses import replace

    other = model.copy(fingerprint="other", cache=type(model.cache)())
    draft = take._replace(state=replace(take.state, model="distilled, 2 layers of 32"))
    made = again(model=other, state=draft, text_encoder=WordEncoder())
    assert made.state.fingerprint == "other" and words(made) == WORDS
    assert any("both must belong to the same VAE" in text for text in said())


def test_a_take_of_another_vae_is_refused_where_that_can_be_seen(again, take, prompt) -> None:
    from dataclasses import replace

    from magi_core.state import SamplerState

    other = SamplerState(32, 32, 24.0, 0, take.state.settings, channels=4)
    records = [replace(record, latent=record.latent[:4]) for record in take.state.chunks]
    other = replace(other, chunks=tuple(records))
    with pytest.raises(MagiError, match="latents of 4 channels where this video has 16: its VAE is another"):
        again(state=take._replace(state=other), conditioning=prompt("a tree"))


def test_a_take_is_made_again_at_another_size(again, model, take, prompt, said) -> None:
    made = again(state=take, conditioning=prompt("a tree"), width=48, height=64, seed=9).state
    engine, source = model.with_settings(steps=4), resized(take.state, 48, 64)
    begun = engine.begin(width=48, height=64, seed=9)
    expected = engine.extend(begun, [prompt("a tree").embedding] * 7, source=source, strength=0.5)
    assert (made.width, made.height) == (48, 64) and torch.equal(made.latents, expected.latents)
    assert any("the take's latents are brought from 32x32 to 48x64" in text for text in said())


def test_one_side_alone_leaves_the_other_and_little_strength_is_told_to_be_soft(again, take, prompt, said) -> None:
    made = again(state=take, conditioning=prompt("a tree"), width=48, strength=0.2).state
    assert (made.width, made.height) == (48, 32)
    assert any("resized latents are no sharp picture" in text for text in said())


def test_a_video_is_made_again_with_its_sound(run, again, prompt, vae, tmp_path, said) -> None:
    file = flashing(tmp_path / "a.mkv", 2, sound="flac")
    made = again(video=from_file(file), vae=vae, conditioning=prompt("a tree"), width=32, height=32)
    assert words(made) == ("a tree",) * 2 and made.state.prefix is None
    assert any(text.startswith("encoding the video: 24 pictures") for text in said())
    assert any("resized 64x64 to 32x32" in text for text in said())
    _, video = run("MagiVAEDecode", vae=vae, state=made)
    assert starts(video.get_components().audio["waveform"][0]) == [0, 1]


def test_strength_0_of_a_part_of_a_video_is_that_part_through_the_vae(run, again, vae, tmp_path) -> None:
    file = flashing(tmp_path / "a.mkv", 3, sound="flac")
    part = from_file(file, start_time=0.5, duration=1.5)
    made = again(video=part, vae=vae, width=32, height=32, strength=0.0)
    prefix = run("MagiVAEEncode", vae=vae, video=part, width=32, height=32)
    assert made.state.frames == 36 and made.state.finished == 2
    assert torch.equal(made.latents[:, :, :6], prefix["samples"][:, :, :6] * vae.codec.scale_factor)
    assert starts(made.state.sound.samples) == [0.5] and made.state.sound.seconds == 1.5


def test_a_video_shorter_than_a_chunk_stays_as_short(run, again, vae, said) -> None:
    from comfy_api.latest import InputImpl, Types

    sound = {"waveform": beeps(1)[None, :, : RATE // 2], "sample_rate": RATE}
    parts = Types.VideoComponents(images=torch.rand(12, 32, 32, 3), frame_rate=24, audio=sound)
    made = again(video=InputImpl.VideoFromComponents(parts), vae=vae, width=32, height=32)
    assert made.state.frames == 12 and made.state.sound.seconds == 0.5
    assert any("the last frame is repeated to fill its chunk" in text for text in said())
    assert len(run("MagiVAEDecode", vae=vae, state=made)[0]) == 12


def test_images_are_a_video_and_one_is_none(again, vae) -> None:
    made = again(images=torch.rand(30, 32, 32, 3), vae=vae, width=32, height=32, fps=12.0)
    assert (made.state.frames, made.state.fps, made.state.sound) == (30, 12.0, None)
    with pytest.raises(MagiError, match="one image is no video"):
        again(images=torch.rand(1, 32, 32, 3), vae=vae, width=32, height=32)


def test_encoding_a_video_stops_at_an_interrupt(again, vae, tmp_path, monkeypatch) -> None:
    import comfy.model_management as management

    file = flashing(tmp_path / "a.mkv", 1, sound="flac")
    for given in ({"video": from_file(file)}, {"images": torch.rand(30, 32, 32, 3)}):
        monkeypatch.setattr(management, "interrupted", True)
        with pytest.raises(management.InterruptProcessingException):
            again(**given, vae=vae, width=32, height=32)


def test_a_given_video_at_the_start_of_a_take_stays(run, again, model, prompt, vae) -> None:
    prefix = run("MagiVAEEncode", vae=vae, image=torch.rand(26, 32, 32, 3), width=32, height=32)
    before = run("MagiChunkSampler", model=model, conditioning=prompt("red"), prefix=prefix, chunks=2, steps=4)
    made = again(state=before, conditioning=prompt("a tree"))
    assert same(made, before) == [True, False, False] and made.state.frames == before.state.frames


def test_after_an_interrupt_the_same_run_goes_on_from_its_autosave(again, model, take, prompt, monkeypatch) -> None:
    import comfy.model_management as management
    import folder_paths

    how = {"state": take, "conditioning": prompt("a tree"), "seed": 9, "strength": 0.7}
    whole, calls = again(**how), []
    model.cache.clear()
    hook = model.dit.register_forward_hook(lambda *_: calls.append(len(model.cache.chunks._entries)))
    with monkeypatch.context() as patches:
        patches.setattr(management, "processing_interrupted", lambda: bool(calls) and calls[-1] >= 3)
        management.interrupted = True
        with pytest.raises(management.InterruptProcessingException):
            again(**how, autosave="second")
    management.interrupted = False
    model.cache.clear()
    path = Path(folder_paths.get_output_directory()) / "magi" / "second.magi"
    done = len(load_state(path).chunks)
    calls.clear()
    made = again(**how, autosave="second")
    hook.remove()
    assert 0 < done < 7 and torch.equal(made.latents, whole.latents)
    assert load_state(path).finished == 7 and not path.with_name("second_2.magi").exists()


def test_a_retouch_keeps_every_other_chunk_bit_for_bit(retouch, take, prompt) -> None:
    made = retouch(state=take, conditioning=prompt("a tree"), first=2, last=3, strength=0.8, join=1)
    assert same(made, take) == [True, True, False, False, True, True, True]
    assert words(made) == ("red", "blue", "a tree", "a tree", "blue", "green", "red")
    assert [chunk.spec.strength for chunk in made.state.chunks[2:4]] == pytest.approx([0.8, 0.4])
    assert made.state.chunks[2].spec.seed_offset == 1


def test_a_retouch_by_another_model_is_told(retouch, model, take, said) -> None:
    retouch(state=take, first=2, last=2)
    assert not any("not made as the take was" in text for text in said())
    made = retouch(model=model.copy(fingerprint="other", cache=type(model.cache)()), state=take, first=2, last=2)
    assert same(made, take) == [True, True, False, True, True, True, True]
    assert any("not made as the take was: other weights of the same kind" in text for text in said())


def test_a_retouch_without_words_keeps_them_and_is_another_try_by_its_number(retouch, take) -> None:
    first, second = (retouch(state=take, first=2, last=2, strength=1.0, join=0, reroll=n) for n in (1, 2))
    assert words(first) == WORDS and same(first, take) == [True, True, False, True, True, True, True]
    assert not torch.equal(first.state.chunk_latent(2), second.state.chunk_latent(2))


def test_a_retouch_of_a_second_pass_goes_by_its_own_strength(again, retouch, take) -> None:
    kept = again(state=take, text_encoder=WordEncoder(), strength=0.0)
    restyled = again(state=kept, text_encoder=WordEncoder(), strength=0.1, seed=9)
    made = retouch(state=restyled, first=1, last=1, strength=1.0, join=0)
    assert made.state.chunks[1].spec.strength == 1.0


def test_going_on_from_a_retouched_take_is_what_going_on_was(run, retouch, model, take, prompt) -> None:
    made = retouch(state=take, conditioning=prompt("a tree"), first=0, last=0)
    how = {"model": model, "conditioning": prompt("blue"), "handoff": "continuous"}
    longer, before = run("MagiExtend", state=made, **how), run("MagiExtend", state=take, **how)
    assert torch.equal(longer.state.chunk_latent(7), before.state.chunk_latent(7))


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ({"first": 6, "last": 7}, "cannot retouch chunks 6 to 7: the take's own are 0 to 6"),
        ({"first": 4, "last": 3}, "cannot retouch chunks 4 to 3: the last of them comes before the first"),
        ({"first": 4, "last": 4, "join": 2}, "no more chunks than are retouched: 2 -> use 1 or less"),
        ({"first": 4, "last": 4, "strength": float("nan")}, "strength must be a number from 0.0 to 1.0: nan"),
    ],
)
def test_a_retouch_that_cannot_be_is_refused_in_words(retouch, take, prompt, places, sentence) -> None:
    with pytest.raises(MagiError, match=sentence):
        retouch(state=take, conditioning=prompt("a tree"), **places)


def test_what_is_kept_is_never_shown_in_the_works(run, nodes, part, model, take, prompt, vae, monkeypatch) -> None:
    """A chunk that is kept may run where a free one looks at it; its cell stays as it is."""
    from types import SimpleNamespace

    import server

    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(server.PromptServer.instance, "client_id", "page")
    monkeypatch.setattr(server.PromptServer.instance, "send_sync", lambda name, data, sid: sent.append((name, data)))
    monkeypatch.setattr(part("desk.showing"), "BETWEEN", 0.0)
    monkeypatch.setattr(part("desk.showing"), "STILLS_APART", 0.0)
    monkeypatch.setattr(nodes["MagiSecondPass"], "hidden", SimpleNamespace(unique_id="7", prompt={}, extra_pnginfo={}))
    told = run("MagiStoryboard", text_encoder=WordEncoder(), text="0-1: red\n2 [strength 0]: blue\n3-6: a tree")[0]
    run("MagiSecondPass", model=model, state=take, conditioning=told, steps=4, seed=9, vae=vae)
    plan = next(data for name, data in sent if name == "magi.plan")
    assert [chunk["kind"] for chunk in plan["chunks"]].index("kept") == 2
    flown = {chunk["index"] for name, data in sent if name == "magi.progress" for chunk in data["flight"]}
    assert flown == {0, 1, 3, 4, 5, 6}
    assert all(data["t"] == 1 for name, data in sent if name == "magi.still" and data["index"] == 2)


@pytest.mark.parametrize("how", [{}, {"width": 48, "height": 64}], ids=["retouch", "another size"])
def test_what_a_take_has_in_flight_is_said_to_be_left_out_before_the_run(
    run, again, retouch, model, prompt, said, how
) -> None:
    flying = run("MagiChunkSampler", model=model, conditioning=prompt("red"), chunks=5, leave_in_flight=True, **SMALL)
    counted: list[int] = []
    hook = model.dit.register_forward_pre_hook(lambda *_: counted.append(len(said())))
    (again if how else retouch)(state=flying, conditioning=prompt("a tree"), **how)
    hook.remove()
    before = said()[: counted[0]]
    assert any("of the take, left in flight, are not in what is made of it" in text for text in before)


@pytest.fixture
def vae_called(part: Any, vae: Any) -> Any:
    """`vae_called("two")`: a VAE wire whose latents are those of a VAE of that name."""
    codec = part("host.vae").Codec(vae.codec.model)

    def called(name: str) -> Any:
        codec.identity = name
        return part("host.vae").PlacedVAE(codec, part("host.device").vae_devices())

    return called


def test_a_take_is_of_the_vae_that_is_connected_where_its_model_knows_none(run, model, prompt, vae_called) -> None:
    how = SMALL | {"conditioning": prompt("red"), "chunks": 1}
    assert run("MagiChunkSampler", model=model, vae=vae_called("two"), **how).state.vae == "two"
    assert run("MagiChunkSampler", model=model.copy(own_vae="one"), vae=vae_called("two"), **how).state.vae == "one"
    prefix = run("MagiVAEEncode", vae=vae_called("two"), image=torch.rand(1, 32, 32, 3), width=32, height=32)
    assert run("MagiChunkSampler", model=model, prefix=prefix, **how).state.vae == "two"


def test_every_node_that_shows_a_take_of_another_vae_says_so(
    run, take, vae_called, said, tmp_path, monkeypatch
) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    from dataclasses import replace

    one, two = take._replace(state=replace(take.state, vae="one")), vae_called("two")
    for node in ("MagiVAEDecode", "MagiDecodeToFile", "MagiStateInfo"):
        before = len(said())
        run(node, state=one, vae=two)
        assert any("another VAE (one) than the one here (two)" in text for text in said()[before:]), node


def test_a_video_that_another_vae_encoded_is_told_before_it_is_made_again(
    run, again, model, prompt, vae_called, said, tmp_path
) -> None:
    clip = from_file(flashing(tmp_path / "clip.mp4", 1, sound="aac"))
    how = {"video": clip, "conditioning": prompt("a tree"), "width": 32, "height": 32}
    again(vae=vae_called("one"), model=model.copy(own_vae="one"), **how)
    assert not any("another VAE" in text for text in said())
    counted: list[int] = []
    hook = model.dit.register_forward_pre_hook(lambda *_: counted.append(len(said())))
    again(vae=vae_called("two"), model=model.copy(own_vae="one"), seed=9, **how)
    hook.remove()
    assert any("another VAE (two) than the one here (one)" in text for text in said()[: counted[0]])
