"""A saved take continues as if it had never left memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import magi_core
from magi_core.errors import MagiError
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}


@pytest.mark.parametrize("how", [{}, {"drain": False}], ids=["drained", "in flight"])
@pytest.mark.parametrize("prefix", [None, 8], ids=["text", "video"])
def test_round_trip(tmp_path, how, prefix):
    engine = tiny_engine()
    given = None if prefix is None else torch.randn(1, 16, prefix, 4, 4)
    state = engine.extend(engine.begin(**SIZE, seed=5, prefix=given, total_chunks=6), ["red", "blue"], 2, **how)
    state.save(tmp_path / "take.magi")
    loaded = magi_core.load_state(tmp_path / "take.magi")
    assert loaded.settings == state.settings and loaded.total_chunks == 6 and loaded.seed == 5
    assert torch.equal(loaded.latents, state.latents) and loaded.pending != () or not how
    engine.cache.clear()
    there = engine.drain(engine.extend(loaded, "green", handoff="continuous"))
    engine.cache.clear()
    here = engine.drain(engine.extend(state, "green", handoff="continuous"))
    assert torch.equal(there.latents, here.latents)
    assert [vars(c) | {"latent": 0} for c in there.chunks] == [vars(c) | {"latent": 0} for c in here.chunks]


def test_a_new_process_continues_the_same(tmp_path):
    script = (
        "import sys, magi_core; from tools.small_models import tiny_engine; "
        "engine, state = tiny_engine().copy(fingerprint='tiny'), magi_core.load_state(sys.argv[1]); "
        "engine.extend(state, 'green', handoff='continuous').save(sys.argv[2])"
    )
    engine = tiny_engine().copy(fingerprint="tiny")
    state = engine.extend(engine.begin(**SIZE), ["red", "blue"], 2)
    state.save(tmp_path / "a.magi")
    subprocess.run([sys.executable, "-c", script, tmp_path / "a.magi", tmp_path / "b.magi"], check=True, timeout=120)
    there = magi_core.load_state(tmp_path / "b.magi")
    here = engine.extend(state, "green", handoff="continuous")
    assert not there.notes and ((there.latents - here.latents).norm() / here.latents.norm()) < 1e-5


def test_chunks_in_flight_with_one_prompt_can_be_saved(tmp_path):
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), "red", 3, drain=False)
    state.save(tmp_path / "take.magi")
    loaded = magi_core.load_state(tmp_path / "take.magi")
    for a, b in zip(loaded.pending, state.pending, strict=True):
        assert torch.equal(a.text.tokens, b.text.tokens) and a.text.key == b.text.key


def test_every_frontier_can_be_saved_with_a_take(tmp_path):
    engine = tiny_engine()
    state = engine.extend(engine.begin(**SIZE), ["red", "blue", "green", "red", "blue"])
    engine.remembered(state).save(tmp_path / "all.magi", all_frontiers=True)
    state.save(tmp_path / "one.magi")
    expected = engine.extend(state.at(3), "yellow", handoff="continuous")
    assert not expected.notes
    elsewhere = tiny_engine()
    loaded = magi_core.load_state(tmp_path / "all.magi")
    there = elsewhere.extend(loaded.at(3), "yellow", handoff="continuous")
    assert torch.equal(there.latents, expected.latents) and not there.notes
    assert len(loaded.at(3).frontiers) == 2 and loaded.at(0).frontiers == ()

    elsewhere.cache.clear()
    without = elsewhere.extend(magi_core.load_state(tmp_path / "one.magi").at(3), "yellow", handoff="continuous")
    assert "continued from its finished chunks" in without.notes[-1]


def test_what_differs_is_said():
    engine = tiny_engine().copy(fingerprint="a")
    state = engine.extend(engine.begin(**SIZE), "red")
    assert engine.differences(state) == ()
    assert engine.copy(fingerprint="b").differences(state) == ("other weights of the same kind (base, 2 layers of 32)",)
    assert tiny_engine(distill=True).differences(state) == (
        "made with base, 2 layers of 32, the model here is distilled, 2 layers of 32",
    )


def test_damaged_files_are_refused_in_words(tmp_path):
    state = tiny_engine().begin(**SIZE)
    path = tmp_path / "take.magi"
    state.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MagiError, match="damaged"):
        magi_core.load_state(path)
    with pytest.raises(MagiError, match="no saved take"):
        magi_core.load_state(tmp_path / "other.magi")
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(MagiError, match="not a saved take"):
        magi_core.load_state(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["take.magi"]
