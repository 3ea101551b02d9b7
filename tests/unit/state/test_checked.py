"""Takes from anywhere: what their words claim is checked against the file before a state is made."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.state import load_state, other_vae
from magi_core.state.autosave import Autosave
from magi_core.state.describe import describe
from magi_core.state.save import HEAD, KEY, SUMS, parts_folders
from magi_core.story.chunk import ChunkSpec
from tools.small_models import tiny_engine

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def take(tmp_path_factory) -> Path:
    """Two finished chunks after a given video, two in flight."""
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, seed=5, prefix=torch.randn(1, 16, 7, 4, 4))
    path = tmp_path_factory.mktemp("takes") / "take.magi"
    finished = engine.extend(begun, ["red", "blue"], 2)
    engine.extend(finished, "green", 2, drain=False).save(path)
    assert load_state(path).pending and len(load_state(path).chunks) >= 2
    return path


def rewritten(source: Path, target: Path, change: Change = lambda words: None, **tensors: torch.Tensor | None) -> Path:
    with safe_open(source, framework="pt") as file:
        words = json.loads(file.metadata()[KEY])
        kept = {name: file.get_tensor(name) for name in file.keys()} | tensors  # noqa: SIM118
    kept = {name: tensor for name, tensor in kept.items() if tensor is not None}
    words[SUMS] = {name: digest(tensor) for name, tensor in kept.items()}
    change(words)
    save_file(kept, target, {KEY: json.dumps(words)})
    return target


def of_flight(words: dict[str, Any], number: int) -> dict[str, Any]:
    return words["frontier"]["chunks"][number]


def rest(words: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a run that is said to have been broken off at the take's own pipeline still had to do."""
    return {"frontier": words["frontier"], "run_start": 0, "drain": True, "end": None, "to_come": []} | changes


def come(words: dict[str, Any], to_come: list[Any]) -> None:
    words["unfinished"] = rest(words, to_come=to_come)


CHANGES: dict[str, Change] = {
    "width": lambda w: w.update(width=40_000, height=40_000),
    "a width in words": lambda w: w.update(width="32"),
    "no width": lambda w: w.update(width=0),
    "an uneven width": lambda w: w.update(width=33),
    "another width": lambda w: w.update(width=64),
    "channels": lambda w: w.update(channels=10**9),
    "a seed in words": lambda w: w.update(seed="NaN"),
    "a long seed": lambda w: w.update(seed=10**30),
    "the rate": lambda w: w.update(fps=0),
    "the rate in words": lambda w: w.update(fps="24"),
    "the length": lambda w: w.update(total_chunks=10**12),
    "notes": lambda w: w.update(notes=[1]),
    "the model": lambda w: w.update(model=["a"]),
    "no settings": lambda w: w.update(settings=None),
    "steps": lambda w: w["settings"].update(steps=10**9),
    "ranges": lambda w: w["settings"].update(kv_ranges=["5"]),
    "guidance": lambda w: w["settings"].update(guidance={"knots": "a", "previous": [1], "text": [1]}),
    "a missing chunk": lambda w: w["chunks"].pop(0),
    "chunks in another order": lambda w: w["chunks"].reverse(),
    "a doubled chunk": lambda w: w["chunks"].insert(0, w["chunks"][0]),
    "a chunk far out": lambda w: w["chunks"][1].update(index=10**9),
    "a chunk that is none": lambda w: w["chunks"].append("chunk"),
    "a prompt": lambda w: w["chunks"][0]["spec"].update(prompt=5),
    "a spec that is none": lambda w: w["chunks"][0].update(spec="cut"),
    "a transition": lambda w: w["chunks"][0]["spec"].update(transition="jump"),
    "tokens": lambda w: w["chunks"][0]["spec"].update(tokens=[[]]),
    "ranges in words": lambda w: w["chunks"][0]["spec"].update(ranges="5"),
    "a wall ahead": lambda w: w["chunks"][0].update(wall=10**9),
    "an end": lambda w: w.update(end=-1),
    "an end in words": lambda w: w.update(end="48"),
    "a digest": lambda w: w.update(prefix_key=7),
    "the next chunk": lambda w: w["frontier"].update(next_chunk=10**9),
    "the run": lambda w: w["frontier"].update(run_start=-1),
    "a stage": lambda w: of_flight(w, 0).update(stage=10**9),
    "a stage of another chunk": lambda w: of_flight(w, 0).update(stage=of_flight(w, 1)["stage"]),
    "more in flight than the window holds": lambda w: w["settings"].update(window=1),
    "no key in flight": lambda w: of_flight(w, 0).update(key=""),
    "a latent that is not there": lambda w: of_flight(w, 0).update(latent="chunk.77"),
    "a latent of another kind": lambda w: of_flight(w, 0).update(latent=of_flight(w, 0)["text"]),
    "a text that is a list": lambda w: of_flight(w, 0).update(text=["text.0"]),
    "frontiers": lambda w: w.update(frontiers={"a": 1}),
    "a frontier in words": lambda w: w.update(frontier="last"),
    "something left out": lambda w: w.pop("frontiers"),
    "no word on what is to come": lambda w: w.pop("unfinished"),
    "the VAE": lambda w: w.update(vae=7),
    "no VAE": lambda w: w.update(vae=None),
    "a VAE that is a list": lambda w: w.update(vae=["a"]),
    "a long VAE": lambda w: w.update(vae="a" * 1001),
    "the weights": lambda w: w.update(weights_digest=7),
    "a run without a pipeline": lambda w: w.update(unfinished={"run_start": 0}),
    "a billion chunks to come": lambda w: come(w, [[10**9, {"prompt": "a"}]]),
    "many times many chunks to come": lambda w: come(w, [[60_000, {"prompt": "a"}]] * 2),
    "no chunk to come": lambda w: come(w, [[0, {"prompt": "a"}]]),
    "to come in words": lambda w: come(w, ["red"]),
    "a run from chunks that are not finished": lambda w: w.update(unfinished=w["frontier"] and rest(w, run_start=99)),
}


def test_what_was_saved_loads(take, tmp_path):
    assert load_state(rewritten(take, tmp_path / "same.magi")).finished == load_state(take).finished


def test_a_take_from_before_takes_named_their_vae_loads_and_is_of_any(take, tmp_path):
    old = load_state(rewritten(take, tmp_path / "old.magi", lambda words: words.pop("vae")))
    assert old.vae == "" and not other_vae(old, "any")


def test_a_name_of_a_vae_that_nobody_has_is_shown_and_does_nothing(take, tmp_path):
    odd = load_state(
        rewritten(take, tmp_path / "odd.magi", lambda words: words.update(vae="\x1b[2J\nnote: " + "a" * 900))
    )
    model = describe(odd, "odd.magi")[1]
    assert "VAE \\x1b[2J note: aaa" in model and len(model) < 400
    assert "\n" not in other_vae(odd, "mine") and len(other_vae(odd, "mine")) < 500


@pytest.mark.parametrize("name", CHANGES)
def test_words_that_cannot_be_true_are_refused_in_words(take, tmp_path, name):
    with pytest.raises(MagiError, match="damaged") as caught:
        load_state(rewritten(take, tmp_path / "a.magi", CHANGES[name]))
    assert len(str(caught.value)) < 700


def test_what_is_to_come_is_taken_at_its_word_where_it_can_be(take, tmp_path):
    changed = rewritten(take, tmp_path / "a.magi", lambda w: come(w, [[3, {"prompt": "a"}]]))
    assert len(load_state(changed).unfinished.to_come) == 3


@pytest.mark.parametrize("index", [10**9, -1, "x", None, 1.5, True])
def test_chunks_in_flight_are_where_they_can_be(take, tmp_path, index):
    def move(words: dict[str, Any]) -> None:
        chunk = of_flight(words, 1)
        chunk["index" if "index" in chunk else "chunk"] = index

    with pytest.raises(MagiError, match="damaged"):
        load_state(rewritten(take, tmp_path / "a.magi", move))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
@pytest.mark.parametrize("kind", ["prefix", "chunk.1", "in_flight", "text"])
def test_values_that_no_video_has_are_refused(take, tmp_path, kind, value):
    with safe_open(take, framework="pt") as file:
        name = next(name for name in file.keys() if name.startswith(kind))  # noqa: SIM118
        tensor = file.get_tensor(name).clone()
    tensor.view(-1)[-1] = value
    with pytest.raises(MagiError, match="damaged.* has (values that are not numbers|values as large as 1e\\+30)"):
        load_state(rewritten(take, tmp_path / "a.magi", **{name: tensor}))


def test_a_value_that_changed_on_the_way_is_found(take, tmp_path):
    content = bytearray(take.read_bytes())
    content[-3] ^= 1
    (tmp_path / "a.magi").write_bytes(content)
    with pytest.raises(MagiError, match="is damaged: .* is not what was saved"):
        load_state(tmp_path / "a.magi")


@pytest.mark.parametrize("sums", [None, {}, [], {"chunk.1": 5}])
def test_a_take_of_today_has_checksums(take, tmp_path, sums):
    with pytest.raises(MagiError, match="is damaged: its checksums"):
        load_state(rewritten(take, tmp_path / "a.magi", lambda w: w.update({SUMS: sums})))


def test_a_take_of_format_3_is_read(take, tmp_path):
    def earlier(words: dict[str, Any]) -> None:
        words["format"] = 3
        for name in (SUMS, "unfinished", "weights_digest"):
            del words[name]

    read, now = load_state(rewritten(take, tmp_path / "a.magi", earlier)), load_state(take)
    assert torch.equal(read.latents, now.latents) and read.frontier.key == now.frontier.key
    assert read.unfinished is None and read.weights_digest == ""


@pytest.mark.parametrize("tensor", [None, torch.zeros(16, 6, 8, 8), torch.zeros(16, 6, 4, 4, dtype=torch.float16)])
def test_tensors_are_what_the_words_say(take, tmp_path, tensor):
    with pytest.raises(MagiError, match="damaged"):
        load_state(rewritten(take, tmp_path / "a.magi", **{"chunk.1": tensor}))


def test_a_take_in_parts_cannot_claim_a_billion_chunks(tmp_path):
    engine = tiny_engine()
    path = tmp_path / "take.magi"
    saved = Autosave(path)
    saved.write(engine.extend(engine.begin(width=32, height=32, seed=5), "red", 2))
    head = parts_folders(path)[0] / HEAD
    assert load_state(path).finished == 2
    for finished in (10**9, 10**30, "2", None, -1, 500):
        with safe_open(head, framework="pt") as file:
            words = json.loads(file.metadata()[KEY]) | {"finished": finished}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        save_file(tensors, head, {KEY: json.dumps(words)})
        with pytest.raises(MagiError, match="damaged"):
            load_state(path)


@pytest.mark.parametrize("text", ["[" * 5000, '{"format": ' + "9" * 5000 + "}", '{"format": 2, "fps": NaN}', "5", "[]"])
def test_words_that_are_no_json_for_a_take_are_refused(tmp_path, text):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.magi", {KEY: text})
    with pytest.raises(MagiError, match="not a saved take"):
        load_state(tmp_path / "a.magi")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_only_regular_files_are_takes(tmp_path):
    os.mkfifo(tmp_path / "a.magi")
    for path in (tmp_path / "a.magi", tmp_path, Path("/dev/zero")):
        with pytest.raises(MagiError, match="not a saved take"):
            load_state(path)


@pytest.fixture(scope="module")
def remade(tmp_path_factory) -> Path:
    """A second pass: its chunk 0 is finished and was kept; of those in flight the last one is its source."""
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32, seed=5)
    first = engine.extend(begun, ["red"] * 5)
    told = [ChunkSpec("blue", strength=strength) for strength in (0, 0.5, 0.5, 0.5, 0)]
    path = tmp_path_factory.mktemp("takes") / "remade.magi"
    engine.extend(replace(begun, seed=6), told, source=first, drain=False).save(path)
    flying = load_state(path).frontier.chunks
    assert load_state(path).chunks and len({chunk.source.release for chunk in flying if chunk.source}) == 2
    return path


def source_of(words: dict[str, Any], number: int = -1) -> dict[str, Any]:
    return of_flight(words, number)["source"]


SOURCES: dict[str, Change] = {
    "no word on the source": lambda w: of_flight(w, -1).pop("source"),
    "a source in words": lambda w: of_flight(w, -1).update(source="first.magi"),
    "a source that is a list": lambda w: of_flight(w, -1).update(source=[1]),
    "nothing said of it": lambda w: of_flight(w, -1).update(source={}),
    "another chunk's": lambda w: source_of(w).update(index=0),
    "no index": lambda w: source_of(w).pop("index"),
    "no release": lambda w: source_of(w).pop("release"),
    "released at once": lambda w: source_of(w).update(release=0),
    "released before": lambda w: source_of(w).update(release=-1),
    "released after the last step": lambda w: source_of(w).update(release=w["settings"]["steps"]),
    "a release in words": lambda w: source_of(w).update(release="5"),
    "half a release": lambda w: source_of(w).update(release=2.5),
    "a release that is true": lambda w: source_of(w).update(release=True),
    "a latent that is not there": lambda w: source_of(w).update(latent="source.77"),
    "a latent that is a number": lambda w: source_of(w).update(latent=3),
    "a latent that is a list": lambda w: source_of(w).update(latent=["a"]),
    "a text as latent": lambda w: source_of(w).update(latent=of_flight(w, 0)["text"]),
    "a key": lambda w: source_of(w).update(key=5),
    "a wall ahead": lambda w: source_of(w).update(wall=10**9),
    "a seed": lambda w: source_of(w).update(seed=2**70),
    "a prompt": lambda w: source_of(w)["spec"].update(prompt=5),
    "a run of later": lambda w: source_of(w).update(run_start=10**9),
    "a key of before": lambda w: source_of(w).update(flown=5),
    "a long key of before": lambda w: source_of(w).update(flown="a" * 10_000),
    "a finished chunk's key of before": lambda w: w["chunks"][0].update(flown=None),
    "no word on a finished chunk's key of before": lambda w: w["chunks"][0].pop("flown"),
    "a strength": lambda w: of_flight(w, -1)["spec"].update(strength=2),
    "a strength that is no number": lambda w: of_flight(w, -1)["spec"].update(strength=float("nan")),
    "a finished chunk's strength": lambda w: w["chunks"][0]["spec"].update(strength="all"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_is_refused_in_words(remade, tmp_path, name):
    with pytest.raises(MagiError, match="damaged") as caught:
        load_state(rewritten(remade, tmp_path / "a.magi", SOURCES[name]))
    assert len(str(caught.value)) < 700


def test_a_take_of_a_second_pass_loads(remade, tmp_path):
    assert load_state(rewritten(remade, tmp_path / "same.magi")).frontier.key == load_state(remade).frontier.key


@pytest.mark.parametrize("change", [lambda t: t[:, :3], lambda t: t.double(), lambda t: t * float("nan")])
def test_a_source_s_latent_is_a_chunk_of_video(remade, tmp_path, change):
    with safe_open(remade, framework="pt") as file:
        name = source_of(json.loads(file.metadata()[KEY]))["latent"]
        tensor = file.get_tensor(name)
    with pytest.raises(MagiError, match="damaged"):
        load_state(rewritten(remade, tmp_path / "a.magi", **{name: change(tensor).contiguous()}))
