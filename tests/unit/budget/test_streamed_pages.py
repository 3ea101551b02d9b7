"""A run beside which not all weights find room has its K/V pages in main memory: same video, same price, less need."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from magi_core.budget import WithinBudget
from magi_core.budget.host import HOLES
from magi_core.cache import page_pool, pinned
from magi_core.cache.engine_cache import EngineCache
from magi_core.cache.pinned import PinnedBlocks
from magi_core.dit import DiT, StreamedPages
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.host import Alone
from magi_core.host_memory import Place
from magi_core.operations import PLAIN, Streamed
from magi_core.sampling import room
from magi_core.sampling.extension import Extension
from magi_core.state import Cancelled, SamplerState
from magi_core.story.chunk import ChunkSpec
from tools.small_models import small_config, tiny_engine, with_random_weights

SIZE = {"width": 32, "height": 32}
PROMPTS = ("red", "blue circle", "", "red", "a tall tree", "it stops")
KINDS: dict[str, dict[str, Any]] = {
    "base": {},
    "distilled": {"distill": True},
    "light draft": {"steps": 12, "draft": "light"},
    "distilled draft": {"distill": True, "draft": "light"},
    "pages of pages": {"clean_kv_range": 2},
    "all that came before": {"distill": True, "kv_ranges": ()},
}


class NoRoom(Alone):
    def fits(self, need: int) -> bool:
        return False


def engine_of(host: object = None, distill: bool = False, operations: object = PLAIN, **settings: Any) -> Engine:
    dit = DiT(replace(small_config(False), num_layers=5, distill=distill), operations=operations)
    made = tiny_engine(distill, **settings).copy(
        dit=with_random_weights(dit), host=host or Alone(), fingerprint="seven"
    )
    return made.copy(cache=EngineCache(host_bytes=1 << 22))


def run(engine: Engine, extension: Extension) -> SamplerState:
    *_, made = engine.run(extension)
    return made


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[StreamedPages]:
    """Those of all runs."""
    made: list[StreamedPages] = []

    def kept(*given: Any) -> StreamedPages:
        made.append(StreamedPages(*given))
        return made[-1]

    monkeypatch.setattr(page_pool, "StreamedPages", kept)
    return made


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_run_with_streamed_pages_is_the_same_at_the_same_price_and_takes_what_it_announces(kind, lanes) -> None:
    whole, streamed = engine_of(**kind), engine_of(NoRoom(), **kind)
    story = [*PROMPTS[:4], ChunkSpec("red", transition="cut"), ChunkSpec("blue", kv_ranges=(4, 2))]
    expected = whole.plan(whole.begin(**SIZE, seed=3), story)
    extension = streamed.plan(streamed.begin(**SIZE, seed=3), story)
    assert extension.streamed_pages and not expected.streamed_pages
    assert extension.cost == expected.cost and extension.need.total < expected.need.total
    assert torch.equal(run(streamed, extension).latents, run(whole, expected).latents)
    (lane,) = lanes
    assert 0.5 * extension.need.pages <= lane.nbytes <= extension.need.pages
    assert streamed.cache.stats["pages"].entries == 0, "no page is on the device"


def test_a_page_in_use_and_remembered_is_there_once_and_shared_by_takes(monkeypatch) -> None:
    engine, places = engine_of(NoRoom()), []

    def place(self, nbytes: int) -> Place:
        made = Place(torch.empty(nbytes, dtype=torch.uint8))
        places.append(weakref.ref(made))
        return made

    monkeypatch.setattr(page_pool.PagePool, "_place", place)
    begun = engine.begin(**SIZE)
    first = run(engine, engine.plan(begun, PROMPTS[:3]))
    other = engine.plan(first, "blue")
    again = engine.plan(first, "red")
    assert again.cost.pages == other.cost.pages == 1, "of the last chunk"
    run(engine, other)
    made = len(places)
    assert engine.plan(first, "red").cost.pages == 0
    run(engine, again)
    assert len(places) == made, "both takes go on from the same pages"
    gc.collect()
    assert sum(one() is not None for one in places) == engine.cache.stats["host pages"].entries
    engine.cache.clear()
    assert not any(one() for one in places)


@pytest.mark.parametrize("kind", ["distilled", "light draft"])
def test_memory_is_filled_again_when_nobody_reads_it_any_more_and_not_before(kind: str, monkeypatch) -> None:
    """Two takes at a time, with room on the host for one page: what goes is in use by the other, or by a forward."""
    got: list[int] = []

    def locked(nbytes: int) -> torch.Tensor:
        got.append(nbytes)
        return torch.empty(nbytes, dtype=torch.uint8)

    monkeypatch.setattr(pinned, "page_locked", locked)
    settings = KINDS[kind]
    engine = engine_of(NoRoom(), **settings)
    page = engine.dit.config.num_layers * 24 * 2 * 2 * 8 * 4
    engine.cache.pages.resize(host_bytes=page)
    engine.cache.pages._blocks = PinnedBlocks(SimpleNamespace(device="cpu", synchronize=lambda: None), page)
    monkeypatch.setattr(PinnedBlocks, "prepare", lambda *_: None)  # in a thread, on a GPU
    stories = ["red"] * 8, ["a tall tree", "blue"] * 4
    announced = engine.plan(engine.begin(**SIZE), stories[0]).need.in_main_memory
    runs = [engine.stream(engine.begin(**SIZE, seed=seed), story) for seed, story in enumerate(stories)]
    for states in zip(*runs, strict=True):
        made = states
    assert len(got) <= 1 + announced // page, "what one run announces, and the page of the other"
    for seed, (take, story) in enumerate(zip(made, stories, strict=True)):
        fresh = engine_of(**settings)
        assert torch.equal(take.latents, fresh.extend(fresh.begin(**SIZE, seed=seed), story).latents)


def test_pages_of_a_run_that_had_room_are_read_by_one_that_has_none_and_the_other_way_round() -> None:
    engine = engine_of()
    first = engine.extend(engine.begin(**SIZE), PROMPTS[:3])
    engine.extend(first, "blue")
    small = engine.copy(host=NoRoom())
    extension = small.plan(first, "red")
    assert extension.streamed_pages and extension.cost.pages == 0
    made = run(small, extension)
    fresh = engine_of()
    assert torch.equal(made.latents, fresh.extend(first, "red").latents)
    extension = engine.plan(first, "a tall tree")
    assert not extension.streamed_pages and extension.cost.pages == 0
    assert torch.equal(run(engine, extension).latents, fresh.extend(first, "a tall tree").latents)


@pytest.mark.parametrize("ends", ["stopped", "out of memory", "closed"])
def test_a_run_that_ends_early_leaves_nothing_behind_and_goes_on_with_the_same_bits(ends: str, monkeypatch) -> None:
    engine, calls, places = engine_of(NoRoom(), distill=True), [], []
    begun = engine.begin(**SIZE, seed=3)
    whole = engine_of(distill=True).extend(begun, PROMPTS)

    def place(self, nbytes: int) -> Place:
        made = Place(torch.empty(nbytes, dtype=torch.uint8))
        places.append(weakref.ref(made))
        return made

    monkeypatch.setattr(page_pool.PagePool, "_place", place)
    engine.cache.pages.resize(host_bytes=0)  # nothing is remembered, so nothing may stay

    def soon() -> bool:
        calls.append(None)
        return len(calls) >= 30

    states = engine.run(engine.plan(begun, PROMPTS), cancelled=soon if ends == "stopped" else None)
    if ends == "stopped":
        with pytest.raises(Cancelled):
            list(states)
    elif ends == "closed":
        next(states)
        next(states)
        states.close()
    else:
        with monkeypatch.context() as patch:
            patch.setattr("magi_core.dit.context._joined", _failing_at(300))
            with pytest.raises(torch.OutOfMemoryError):
                list(states)
    del states
    gc.collect()
    assert places and not any(one() for one in places)
    assert torch.equal(run(engine, engine.plan(begun, PROMPTS)).latents, whole.latents)


def _failing_at(last: int) -> Any:
    from magi_core.dit import context

    joined, calls = context._joined, []

    def fail(parts):
        calls.append(None)
        if len(calls) == last:
            raise torch.OutOfMemoryError("out of memory")
        return joined(parts)

    return fail


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pages come and go beside the work of a GPU")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("lock", [True, False], ids=["locked", "pageable"])
def test_a_gpu_makes_the_same_video_with_pages_and_blocks_streamed(kind, lock: bool, monkeypatch) -> None:
    def refused(_: int) -> torch.Tensor:
        raise RuntimeError("no memory is locked")

    if not lock:
        monkeypatch.setattr("magi_core.cache.pinned.page_locked", refused)
    device = torch.device("cuda")
    whole = engine_of(**kind)
    whole.dit.to(device)
    whole = whole.copy(cache=EngineCache(device))
    expected = whole.extend(whole.begin(**SIZE, seed=3), PROMPTS)
    operations = Streamed()
    engine = engine_of(operations=operations, **kind)
    host = WithinBudget(engine.dit, operations, device, allowed=0, lock=lock)
    engine = engine.copy(host=host, cache=EngineCache(device, device_bytes=0, host_bytes=1 << 22))
    begun = engine.begin(**SIZE, seed=3)
    host.allowed = host.least + engine.plan(begun, PROMPTS).need.total + HOLES
    extension = engine.plan(begun, PROMPTS)
    assert extension.streamed_pages
    assert torch.equal(run(engine, extension).latents, expected.latents) and host.streamed
    assert engine.cache.stats["pages"].entries == 0
    longer = [e.extend(take, "blue").latents for e, take in ((whole, expected), (engine, expected))]
    assert torch.equal(*longer), "from pages that are remembered"


def test_pages_that_main_memory_has_no_room_for_are_refused_before_the_run(monkeypatch) -> None:
    engine = engine_of(NoRoom(), distill=True, draft="light")
    extension = engine.plan(engine.begin(**SIZE), PROMPTS)
    page = engine.dit.config.num_layers * 24 * 2 * 2 * 8 * 4  # tokens, K and V of two groups of 8, float32
    assert extension.need.in_main_memory == 4 * page, "one that is read, three that are held"
    with monkeypatch.context() as patch:
        patch.setattr(room, "available_memory", lambda: extension.need.in_main_memory - 1)
        patch.setattr(DiT, "forward", lambda *_, **__: pytest.fail("it ran"))
        with pytest.raises(MagiError, match=r"32x32 does not fit here: .* GB of main memory.* leave a light draft out"):
            engine.run(extension)
    monkeypatch.setattr(room, "available_memory", lambda: extension.need.in_main_memory)
    assert run(engine, extension).finished == len(PROMPTS)


def test_a_budget_has_pages_streamed_before_blocks() -> None:
    """The least memory has both streamed, a little more the pages, all of it neither; the video is the same."""
    operations = Streamed()
    engine = engine_of(distill=True, operations=operations)
    host = WithinBudget(engine.dit, operations, torch.device("cpu"), allowed=10**12)
    parts = sum(part.nbytes for _, part in (*host._rows, *host._texts))
    weights = parts + sum(parameter.nbytes for parameter in host._others)
    engine = engine.copy(host=host, cache=EngineCache(device_bytes=0, host_bytes=1 << 22))
    begun, seen = engine.begin(**SIZE), []
    whole = engine.plan(begun, PROMPTS).need.total
    expected = engine_of(distill=True).extend(begun, PROMPTS).latents
    for allowed in (weights + whole + HOLES, weights + whole + HOLES - 1, host.least + whole + HOLES):
        host.allowed = allowed
        engine.cache.chunks.clear()
        engine.cache.frontiers.clear()
        extension = engine.plan(begun, PROMPTS)
        assert torch.equal(run(engine, extension).latents, expected)
        seen.append((extension.streamed_pages, host.streamed > 0))
    assert seen == [(False, False), (True, False), (True, True)]
