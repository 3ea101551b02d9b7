"""Magi Model Settings: other settings on the same weights, without touching the model that came in."""

from __future__ import annotations

from typing import Any

import pytest
import torch

MIB = 1 << 20


def test_budgets_are_the_copys_own_and_results_the_same(run: Any, engine: Any, prompt: Any) -> None:
    model = engine.copy(cache=type(engine.cache)())
    before = model.cache.pages.stats.budget
    small = run("MagiModelSettings", model=model, device_cache=1, host_cache=2)
    assert small.dit is model.dit
    assert small.cache.pages.stats.budget == MIB and small.cache.pages.host_stats.budget == 2 * MIB
    assert model.cache.pages.stats.budget == before
    assert small.cache.chunks is model.cache.chunks  # what was made before is not made again

    how = {"conditioning": prompt("red"), "width": 32, "height": 32, "steps": 4, "chunks": 2}
    made = run("MagiChunkSampler", model=small, **how)
    model.cache.clear()
    assert torch.equal(run("MagiChunkSampler", model=model, **how).latents, made.latents)


def test_left_alone_it_changes_nothing(run: Any, engine: Any) -> None:
    same = run("MagiModelSettings", model=engine)
    assert same.cache is engine.cache and same.attention is engine.attention and same.compiler is None


def test_a_draft_is_made_by_the_sampler_and_gone_on_with_as_one(run: Any, engine: Any, prompt: Any) -> None:
    model = run("MagiModelSettings", model=engine.copy(), draft="strong")
    how = {"conditioning": prompt("red"), "width": 32, "height": 32, "steps": 8, "chunks": 2}
    made = run("MagiChunkSampler", model=model, **how)
    assert made.state.settings.draft == "strong" and engine.settings.draft == "off"
    assert not torch.equal(made.latents, run("MagiChunkSampler", model=engine, **how).latents)
    longer = run("MagiExtend", model=engine, state=made, conditioning=prompt("red"), chunks=1)
    assert longer.state.settings.draft == "strong"


def test_a_budget_leaves_weights_the_rest_of_it(run: Any, engine: Any, part: Any) -> None:
    """What ComfyUI does with the rest is streamed; it gets no less than it would without a budget."""
    from types import SimpleNamespace

    model = run("MagiModelSettings", model=engine.copy(), vram=8.0)
    assert model.host.allowed == 7_300_000_000 and model.host.room() is None  # on a CPU there is none to keep to
    for allowed, weights in ((7_300_000_000, 4_300_000_000), (2_000_000_000, 0), (30_000_000_000, 16_600_000_000)):
        for dynamic, device in ((False, "cuda"), (True, "cuda"), (False, "cpu")):
            patcher = SimpleNamespace(
                load_device=torch.device(device), is_dynamic=lambda d=dynamic: d, loaded_size=lambda: 0
            )
            host = part("host.engine").ComfyHost(patcher, allowed)
            host.loaded_for(3_000_000_000)
            keeps = not dynamic and device == "cuda"
            assert host.room() == (allowed if keeps else None)
            assert patcher.weights_get == (weights if keeps else 16_600_000_000)


def test_what_a_run_has_loaded_is_left_alone_until_another_model_is_or_other_room_is_wanted(
    run: Any, engine: Any, part: Any, prompt: Any, vae: Any, monkeypatch: Any
) -> None:
    """A run asks for room before every forward, and ComfyUI goes through all weights for it."""
    import comfy.model_management as management

    def loads(**named: Any) -> list[Any]:
        management.unload_all_models()
        how = {"conditioning": prompt("red"), "width": 32, "height": 32, "steps": 8, "chunks": 2}
        run("MagiChunkSampler", model=engine.copy(), **how, **named)
        return [patcher for patcher, _ in management.loads]

    assert loads(seed=91) == [engine.host.patcher]
    with_clips = loads(vae=vae, seed=92)
    assert with_clips.count(engine.host.patcher) <= 3, "again after each clip, and no more"
    engine.host.loaded_for(1000)
    before = len(management.loads)
    engine.host.loaded_for(1000)
    assert len(management.loads) == before
    engine.host.loaded_for(1001)
    assert len(management.loads) == before + 1
    monkeypatch.setattr(engine.host.patcher, "loaded_size", lambda: 0, raising=False)
    part("host.patcher").keep_room(engine.host.patcher, 1001, 5_000_000_000)
    assert len(management.loads) == before + 2, "another budget"
    management.unload_all_models()
    engine.host.loaded_for(1)
    assert [patcher for patcher, _ in management.loads] == [engine.host.patcher]
    engine.host.release(engine.cache)
    engine.host.loaded_for(1)
    assert len(management.loads) == 2, "a run that is over has nothing left"


def test_two_models_in_turn_are_loaded_once_where_there_is_room_for_both(
    engine: Any, part: Any, vae: Any, monkeypatch: Any
) -> None:
    """A run's clips are made between its forwards; ComfyUI goes through all weights at every load."""
    import comfy.model_management as management

    management.unload_all_models()
    room, model, both = part("host.patcher"), engine.host.patcher, (engine.host.patcher, vae.patcher)
    sizes = {patcher: patcher.model_size() for patcher in both}
    for patcher in both:
        room.forget_room(patcher)
        monkeypatch.setattr(patcher, "load_device", torch.device("cuda"))
        monkeypatch.setattr(patcher, "loaded_size", lambda patcher=patcher: sizes[patcher], raising=False)

    def free(nbytes: int) -> None:
        monkeypatch.setattr(management, "get_free_memory", lambda device: nbytes)

    def loads() -> list[str]:
        """What is loaded in two turns, after the VAE was used by itself."""
        room.make_room(vae.patcher, 500)
        before = len(management.loads)
        for _ in range(2):
            room.keep_room(model, 1000)
            room.have_room(vae.patcher, 500)
        names = {model: "model", vae.patcher: "vae"}
        return [names[patcher] for patcher, _ in management.loads[before:]]

    assert loads() == ["model"]
    assert loads() == []
    room.forget_room(model)
    assert loads() == [], "another run finds it as it was"
    whole = sizes[model]
    sizes[model] = whole // 2
    assert loads() == ["model"], "weights that were left out are tried for again"
    sizes[model] = whole - 1
    least = management.minimum_inference_memory()
    free(least)
    assert loads() == ["model"], "what dynamic loading has not fetched needs room as well"
    sizes[model] = whole
    assert loads() == []
    free(least - 1)
    assert loads() == ["model", "vae", "model", "vae"]
    free(1 << 40)
    sizes[model] = whole - 1
    monkeypatch.setattr(model, "patches", {"a.weight": [1]})
    assert loads() == ["model"], "patches are put in their places, once a run where no other is loaded"
    monkeypatch.setattr(model, "patches", {})
    assert loads() == []
    monkeypatch.setattr(model.model, "current_weight_patches_uuid", "of a patched clone that is gone")
    room.forget_room(model)
    assert loads() == ["model"], "its weights are patched, though ComfyUI lists this one as loaded"
    monkeypatch.undo()
    management.unload_all_models()
    room.forget_room(engine.host.patcher)


@pytest.mark.parametrize("dynamic", [False, True])
def test_what_dynamic_loading_fetches_for_a_block_is_announced(
    engine: Any, part: Any, monkeypatch: Any, dynamic: bool
) -> None:
    asked = []
    monkeypatch.setattr(part("host.engine"), "keep_room", lambda patcher, need, allowed: asked.append(need))
    patcher = engine.host.patcher
    monkeypatch.setattr(type(patcher), "is_dynamic", lambda self: dynamic, raising=False)
    largest = max(sum(weight.nbytes for weight in block.parameters()) for block in engine.dit.videodit_blocks)
    engine.host.loaded_for(1000)
    assert asked == [1000 + (largest if dynamic else 0)] and largest > 10_000


def test_where_the_model_does_not_fit_a_budget_whole_or_a_run_the_card_pages_are_streamed(
    run: Any, engine: Any, part: Any, prompt: Any
) -> None:
    from types import SimpleNamespace

    def host(device: str, allowed: int | None) -> Any:
        patcher = SimpleNamespace(load_device=torch.device(device), model_size=lambda: 5_000_000_000)
        return part("host.engine").ComfyHost(patcher, allowed)

    assert host("cuda", 8_000_000_000).fits(3_000_000_000)
    assert not host("cuda", 8_000_000_000).fits(3_000_000_001)
    assert host("cuda", None).fits(23_300_000_000), "all weights can wait elsewhere"
    assert not host("cuda", None).fits(23_300_000_001), "the card has 24 GB"
    assert host("cpu", 8_000_000_000).fits(10**12) and host("cpu", None).fits(10**12)


def test_pages_take_what_model_and_run_leave_of_a_gpu_where_they_are_asked_for(engine: Any, part: Any) -> None:
    """By themselves they wait in main memory: all of them leave the device when a run is over."""
    from types import SimpleNamespace

    from magi_core.cache.engine_cache import EngineCache

    def spare(device: str, allowed: int | None, need: int) -> Any:
        patcher = SimpleNamespace(load_device=torch.device(device), model_size=lambda: 5_000_000_000)
        return part("host.engine").ComfyHost(patcher, allowed).spare(need)

    assert spare("cuda", 8_000_000_000, 2_000_000_000) == 1_000_000_000
    assert spare("cuda", 8_000_000_000, 4_000_000_000) == 0
    assert spare("cuda", None, 3_000_000_000) == 15_300_000_000, "the card has 24 GB, 0.7 are the driver's"
    assert spare("cpu", None, 10**12) is None
    asked = EngineCache(device_bytes=2_000_000_000)
    assert [asked.kept_beside(left) for left in (None, 10**9, 10**10)] == [2_000_000_000, 10**9, 2_000_000_000]


def test_a_budget_that_is_none_is_refused(run: Any, engine: Any) -> None:
    from magi_core.errors import MagiError

    with pytest.raises(MagiError, match="number of GB from 2 to 1024"):
        run("MagiModelSettings", model=engine.copy(), vram=1.0)


def test_attention_is_chosen_by_name(run: Any, engine: Any) -> None:
    from magi_core.attention.choose import get_attention

    model = engine.copy()
    chosen = run("MagiModelSettings", model=model, attention="sdpa")
    assert chosen.attention is get_attention("sdpa", "cpu")


def test_compiling_is_of_the_copy(run: Any, engine: Any, prompt: Any) -> None:
    from torch._dynamo.utils import counters

    model = engine.copy()
    fast = run("MagiModelSettings", model=model, compile=True)
    fast.compiler.backend = "eager"
    assert fast.dit is model.dit and model.compiler is None
    assert run("MagiModelSettings", model=fast).compiler is None

    how = {"conditioning": prompt("red"), "width": 32, "height": 32, "steps": 4, "chunks": 2}
    torch._dynamo.reset()
    counters.clear()
    model.cache.clear()
    expected = run("MagiChunkSampler", model=model, **how).latents
    assert counters["stats"]["unique_graphs"] == 0
    model.cache.clear()
    made = run("MagiChunkSampler", model=fast, **how).latents
    assert counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


def test_where_compiling_cannot_work_the_node_says_what_to_do(
    run: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magi_core.errors import MagiError

    model = engine.copy()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MagiError, match="or leave compile off"):
        run("MagiModelSettings", model=model, compile=True)
