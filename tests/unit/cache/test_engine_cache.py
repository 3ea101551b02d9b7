"""What an engine remembers: pages in two tiers, frontiers ever fewer the older they are, noise when it is needed."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from magi_core.cache import pinned
from magi_core.cache.bounded import BoundedCache
from magi_core.cache.engine_cache import FRONTIERS, EngineCache
from magi_core.cache.page_pool import PagePool
from magi_core.cache.pinned import PinnedBlocks
from magi_core.dit import KVLayer, KVPage
from magi_core.sampling.noise import chunk_noise
from tools.small_models import tiny_engine

SIZE = {"width": 32, "height": 32}
CPU = torch.device("cpu")
DEVICES = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]


def page(value: int = 0) -> KVPage:
    """A page of 800 bytes."""
    return KVPage((KVLayer(torch.full((100,), float(value))), KVLayer(torch.full((100,), float(value)))))


def test_pages_without_room_on_the_device_are_found_on_the_host():
    pool = PagePool(CPU, 1600, 1600)
    for value in range(5):
        pool.put(str(value), page(value))
    assert pool.stats.entries == 2 and pool.host_stats.entries == 2
    assert pool.get("0") is None, "neither tier has room for it"
    for value in (4, 3, 2, 1):
        assert pool.get(str(value)).layers[0].keys_values[0] == value
    assert pool.stats.bytes <= 1600 and pool.host_stats.bytes <= 1600
    assert pool.stats.hits == 2 and pool.host_stats.hits == 2


def test_prefetched_pages_are_on_the_device_when_asked_for():
    pool = PagePool(CPU, 1600, 8000)
    for value in range(4):
        pool.put(str(value), page(value))
    pool.prefetch(["0", "1", "unknown"])
    hits = pool.stats.hits
    assert pool.get("0") is not None and pool.get("1") is not None and pool.stats.hits == hits + 2


def test_a_page_too_large_for_the_device_tier_is_read_from_the_host_and_stays_there():
    pool = PagePool(CPU, 0, 1600)
    for value in range(3):
        pool.put(str(value), page(value))
    for _ in range(2):
        pool.prefetch(["1"])
        assert pool.get("1").layers[0].keys_values[0] == 1
    assert pool.host_stats.entries == 2 and pool.get("0") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="host memory is page-locked for a GPU")
def test_page_locked_memory_is_used_again_and_stays_within_its_budget():
    device = torch.device("cuda")
    pool = PagePool(device, 0, 3 * 800)
    wanted = {str(i): page(i).to(device) for i in range(50)}
    for key, each in wanted.items():
        pool.put(key, each)
    blocks = pool._blocks
    assert blocks is not None and blocks.nbytes <= 3 * 1024, "an aligned page takes 1024 bytes"
    for key in ("47", "48", "49", "47"):
        assert pool.get(key).layers[1].keys_values[3].item() == int(key)
    pool.put("other size", KVPage((KVLayer(torch.ones(200, device=device)),)))
    assert pool.get("other size").layers[0].keys_values.sum() == 200
    pool.clear()
    assert pool._blocks is not None and pool._blocks.nbytes == 0


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Threads that memory was got in, which needs a GPU otherwise."""
    threads: list[str] = []

    def locked(nbytes: int) -> torch.Tensor:
        threads.append(threading.current_thread().name)
        return torch.empty(nbytes, dtype=torch.uint8)

    monkeypatch.setattr(pinned, "page_locked", locked)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    return threads


def blocks_of(budget: int) -> PinnedBlocks:
    return PinnedBlocks(SimpleNamespace(device=CPU, synchronize=lambda: None), budget)


def test_host_memory_that_is_expected_is_got_beside_the_run(got: list[str]):
    blocks = blocks_of(2048)
    for _ in range(2):
        blocks.prepare(1024)
        blocks.prepare(1024)
        assert blocks._block(1024).nbytes == 1024
    blocks.prepare(1024)
    assert got == ["MAGI host memory"] * 2 and blocks.nbytes == 2048, "never beyond the budget"


def test_host_memory_that_cannot_be_got_ahead_is_asked_for_when_it_is_needed(got, monkeypatch):
    locked = pinned.page_locked

    def failing(nbytes: int) -> torch.Tensor:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("no memory can be locked")
        return locked(nbytes)

    monkeypatch.setattr(pinned, "page_locked", failing)
    blocks = blocks_of(2048)
    blocks.prepare(1024)
    assert blocks._block(1024).nbytes == 1024 and got == ["MainThread"] and blocks.nbytes == 1024


def test_where_the_system_locks_no_more_pages_lie_in_ordinary_memory_and_that_is_said(monkeypatch, caplog):
    def refused(_: int) -> torch.Tensor:
        raise RuntimeError("cudaErrorMemoryAllocation")

    monkeypatch.setattr(pinned, "page_locked", refused)
    blocks = blocks_of(2048)
    assert blocks.place(1024).block.nbytes == 1024
    assert "too little main memory to lock K/V pages" in caplog.text


def test_memory_of_a_page_is_used_again_when_nobody_holds_it_and_goes_back_beyond_the_budget(got: list[str]):
    blocks = blocks_of(1024)
    places = [blocks.place(1024) for _ in range(3)]
    addresses = {place.block.data_ptr() for place in places}
    assert len(addresses) == len(got) == 3, "pages in use are there, whatever the budget"
    del places[0]
    assert blocks.place(1024).block.data_ptr() in addresses and len(got) == 3
    blocks.give_back()
    assert blocks.nbytes == 2048, "what is in use stays"
    places.clear()
    blocks.budget = 4096
    blocks.give_back()
    assert blocks.nbytes == 2048 and blocks.place(1024).block.data_ptr() in addresses
    blocks.clear()
    assert blocks.nbytes == 0


def test_a_page_that_is_streamed_lies_in_the_hosts_tier_as_it_is():
    pool = PagePool(CPU, 1600, 1600)
    ours = page(3)
    pool.put("3", ours, streamed=True)
    assert pool.stats.entries == 0 and pool.get("3", streamed=True) is ours
    pool.put("4", page(4))
    assert pool.get("4", streamed=True) is None, "it lies on the device"
    pool.release_device()
    assert pool.get("4", streamed=True).layers[0].keys_values[0] == 4
    assert pool.get("3") is ours and pool.stats.entries == 1, "a run that has room takes it from there"


def test_releasing_the_device_leaves_pages_on_the_host():
    pool = PagePool(CPU, 8000, 1600)
    for value in range(4):
        pool.put(str(value), page(value))
    pool.release_device()
    assert pool.stats.entries == 0 and pool.host_stats.entries == 2 and pool.stats.budget == 8000
    assert pool.get("3") is not None and pool.stats.entries == 1


def test_a_run_from_pages_on_the_host_is_the_same():
    engine = tiny_engine().copy(cache=EngineCache(host_bytes=1 << 20))
    state = engine.extend(engine.begin(**SIZE), ["red", "blue", "green"])
    expected = engine.extend(state, "red").latents
    engine.cache.release_device()
    engine.cache.chunks.clear()
    engine.cache.frontiers.clear()
    before = engine.cache.pages.stats
    assert before.entries == 0 and engine.cache.pages.host_stats.entries > 0
    assert torch.equal(engine.extend(state, "red").latents, expected)
    assert engine.cache.pages.stats.misses == before.misses, "no page had to be made again"


def eight_bit_layer(device: torch.device) -> KVLayer:
    """256 KiB and its scales, as a number format would have them that is not there yet."""
    numbers = torch.randint(-128, 128, (1 << 7, 16, 128), dtype=torch.int8, device=device)
    return KVLayer(numbers, torch.rand(1 << 7, 16, 2, device=device))


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_pages_survive_the_way_to_the_host_and_back(device: torch.device):
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    pool = PagePool(device, 1 << 24, 1 << 26)
    pages = {str(i): KVPage((eight_bit_layer(device), eight_bit_layer(device))) for i in range(64)}
    copies = {key: page.map(lambda tensor: tensor.cpu().clone()) for key, page in pages.items()}
    for key in list(pages):
        pool.put(key, pages.pop(key))
    assert pool.host_stats.entries >= 30
    pool.prefetch(["0", "1", "2"])
    for key in copies:
        found = pool.get(key)
        assert found.device.type == device.type
        for ours, expected in zip(found.layers, copies[key].layers, strict=True):
            assert all(torch.equal(a.cpu(), b) for a, b in zip(ours.tensors, expected.tensors, strict=True))
    del found, ours
    pool.release_device()
    if device.type == "cuda":
        torch.cuda.synchronize()
        assert torch.cuda.memory_allocated() - before < 1 << 20


def test_old_entries_get_fewer_but_reach_back_to_the_first():
    cache = BoundedCache(10, lambda value: 1, thin=True)
    for number in range(100):
        cache.put(str(number), number)
    held = [number for number in range(100) if str(number) in cache]
    assert held[0] == 0 and held[-5:] == [95, 96, 97, 98, 99] and len(held) <= 10


def test_entries_that_must_stay_are_kept_whatever_their_size():
    cache = BoundedCache(5, lambda value: value, least=3)
    for number in range(6):
        cache.put(str(number), 100 + number)
    assert cache.stats.entries == 3 and cache.get("5") == 105 and cache.get("2") is None


def test_a_long_take_is_edited_from_the_nearest_frontier():
    engine = tiny_engine(steps=4).copy(cache=EngineCache(frontier_bytes=0))
    prompts = ["red"] * (FRONTIERS + 20)
    calls = []
    engine.dit.register_forward_hook(lambda *_: calls.append(1))
    first = engine.extend(engine.begin(**SIZE), prompts)
    full, _ = len(calls), calls.clear()
    edited = engine.extend(engine.begin(**SIZE), [*prompts[:30], "blue", *prompts[31:]])
    assert all(a.latent is b.latent for a, b in zip(first.chunks[:27], edited.chunks, strict=False))
    assert not torch.equal(first.chunks[30].latent, edited.chunks[30].latent)
    assert len(calls) < 0.75 * full, "as if nothing before chunk 30 were remembered"


def test_noise_is_drawn_when_a_chunk_enters():
    drawn = []

    def noise(seed, chunk, shape):
        drawn.append(chunk)
        return chunk_noise(seed, chunk, shape)

    engine = tiny_engine(steps=4).copy(noise=noise)
    for state in engine.stream(engine.begin(**SIZE), "red", 9):
        assert max(drawn) <= state.finished + 3, "no more than the window ahead"
    assert drawn == list(range(9))
