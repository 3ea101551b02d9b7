"""Pages in use that lie in main memory: a layer of them at a time is on the device, with the same bits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.cache.page_pool import PagePool
from magi_core.dit import DiT, KVLayer, KVPage, OnDevice, Pages, StreamedPages, TextAttention, WindowAttention, context
from magi_core.dit.memory import streamed_bytes
from magi_core.host_memory import Place
from tools.small_models import small_config, with_random_weights

CPU = torch.device("cpu")
LAYERS = 7


def dit_of(dtype: torch.dtype = torch.float32, fp8: bool = False) -> DiT:
    return with_random_weights(DiT(replace(small_config(fp8), num_layers=LAYERS), dtype=dtype))


def in_memory(nbytes: int) -> Place:
    return Place(torch.empty(nbytes, dtype=torch.uint8))


def streamed(place: Callable[[int], Place] = in_memory) -> StreamedPages:
    return StreamedPages(CPU, LAYERS, place, None)


def forward(
    dit: DiT, where: Pages, history: Sequence[KVPage] = (), chunks: int = 1, keep: Sequence[int] = (), seed: int = 1
) -> tuple[Tensor, dict[int, KVPage]]:
    generator = torch.Generator().manual_seed(seed)
    text = dit.text_context(torch.randn(7, 16, generator=generator))
    latents = torch.randn(1, 16, 6 * chunks, 8, 8, generator=generator).to(dit.device)
    window = WindowAttention(sdpa, [(0, len(history) + i + 1) for i in range(chunks)], history, keep, where)
    velocity = dit(
        latents,
        torch.linspace(0.8, 0.1, chunks, device=dit.device)[None],
        TextAttention(sdpa, [text] * chunks),
        frames=torch.arange(6 * chunks, device=dit.device),
        attend=window,
        dropped=False,
    )
    return velocity, window.pages


def same_page(one: KVPage, other: KVPage) -> bool:
    pairs = zip(one.layers, other.layers, strict=True)
    return all(torch.equal(a.keys_values.cpu(), b.keys_values.cpu()) for a, b in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fp8", [False, True], ids=["bf16 file", "fp8 file"])
@torch.no_grad()
def test_streamed_pages_are_made_and_read_with_the_same_bits(dtype: torch.dtype, fp8: bool) -> None:
    dit, there, whole = dit_of(dtype, fp8), streamed(), OnDevice()
    ours: list[KVPage] = []
    expected: list[KVPage] = []
    for seed in range(4):  # a page reads those before it
        ours.append(forward(dit, there, ours, keep=[0], seed=seed)[1][0])
        expected.append(forward(dit, whole, expected, keep=[0], seed=seed)[1][0])
    assert all(map(same_page, ours, expected)) and all(page.place is not None for page in ours)
    for count in (1, 4, 2, 0):
        made, kept = forward(dit, there, ours[:count], 3, keep=[0, 2])
        wanted, kept_whole = forward(dit, whole, expected[:count], 3, keep=[0, 2])
        assert torch.equal(made, wanted) and all(same_page(kept[i], kept_whole[i]) for i in (0, 2))


@torch.no_grad()
def test_the_device_has_room_for_what_was_announced_and_a_forward_takes_no_more() -> None:
    dit, there = dit_of(), streamed()
    pages = [forward(dit, there, keep=[0], seed=seed)[1][0] for seed in range(3)]
    layer = pages[0].layers[0].nbytes
    assert there.nbytes == layer
    for _ in range(3):
        forward(dit, there, pages[:2], 2, keep=[0])
        assert there.nbytes == streamed_bytes(layer, past=2, held=0)
    forward(dit, there, pages, 3, keep=[0, 1])
    assert there.nbytes == streamed_bytes(layer, past=1, held=2)


@pytest.mark.parametrize("stage", ["in a block", "while keys are joined", "while a page leaves"])
@torch.no_grad()
def test_a_forward_that_breaks_off_leaves_nothing_wrong_and_nothing_behind(stage: str, monkeypatch) -> None:
    held: list[weakref.ref[Place]] = []

    def place(nbytes: int) -> Place:
        made = in_memory(nbytes)
        held.append(weakref.ref(made))
        return made

    dit, there, whole = dit_of(), streamed(place), OnDevice()
    page, plain = forward(dit, there, keep=[0])[1][0], forward(dit, whole, keep=[0])[1][0]
    expected = forward(dit, whole, [plain], 2, keep=[0])
    calls: list[None] = []

    def failing(original: Callable) -> Callable:
        def fail(*given, **named):
            calls.append(None)
            if len(calls) % 4 == 0:
                raise torch.OutOfMemoryError("out of memory")
            return original(*given, **named)

        return fail

    for _ in range(3):
        with monkeypatch.context() as patch:
            if stage == "in a block":
                block = dit.videodit_blocks.layers[3]
                patch.setattr(block, "forward", failing(block.forward))
                calls.extend([None] * 3)
            elif stage == "while keys are joined":
                patch.setattr("magi_core.dit.context._joined", failing(torch.cat))
            else:
                patch.setattr(StreamedPages, "copied", failing(StreamedPages.copied))
            with pytest.raises(torch.OutOfMemoryError) as raised:
                forward(dit, there, [page], 2, keep=[0])
            del raised
        calls.clear()
        gc.collect()
        assert sum(one() is not None for one in held) == 1, "only the page that was whole is there"
        velocity, kept = forward(dit, there, [page], 2, keep=[0])
        assert torch.equal(velocity, expected[0]) and same_page(kept[0], expected[1][0])
        del kept


class Watched(StreamedPages):
    """Numbers moments in the order in which they are asked for, and notes what comes behind what.

    Copies are a queue of their own, as on a GPU; so a copy is safe only behind the moment that it is told to wait for,
    and work only behind the copies that it was told to wait for.
    """

    def __init__(self) -> None:
        super().__init__(CPU, LAYERS, in_memory, None)
        self.moment = 0
        self.copies_waited = 0  # the copies that the work may count on
        self.queue = 0  # copies asked for
        self.last_use: dict[int, int] = {}  # of device memory by the model's work
        self.last_copy: dict[int, int] = {}

    def copied(self, to, of, after):
        assert isinstance(after, int | None)
        self.queue += 1
        for layer in (*to, *of):
            place = layer.keys_values.data_ptr()
            if place in self.last_use:
                assert after is not None and after >= self.last_use[place], "written over while it may be read"
            self.last_copy[place] = self.queue
        super().copied(to, of, None)
        return ("copy", self.queue)

    def queued(self):
        self.moment += 1
        return self.moment

    def wait(self, event) -> None:
        if event is not None:
            kind, number = event
            assert kind == "copy"
            self.copies_waited = max(self.copies_waited, number)

    def used(self, layer: KVLayer) -> None:
        """By the model's work, now."""
        place = layer.keys_values.data_ptr()
        assert self.last_copy.get(place, 0) <= self.copies_waited, "used before it has come, or while it leaves"
        self.moment += 1
        self.last_use[place] = self.moment


@torch.no_grad()
def test_work_and_copies_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU could do in another order is told to come in the right one; nothing runs at the same time here."""
    dit, there = dit_of(), Watched()
    read, of = KVLayer.read, KVLayer.of.__func__

    def reading(layer: KVLayer) -> tuple[Tensor, Tensor]:
        there.used(layer)
        return read(layer)

    def making(cls, keys: Tensor, values: Tensor, block: Tensor | None = None) -> KVLayer:
        there.used(KVLayer(block))
        return of(cls, keys, values, block)

    monkeypatch.setattr(KVLayer, "read", reading)
    monkeypatch.setattr(KVLayer, "of", classmethod(making))
    pages: list[KVPage] = []
    for seed in range(3):
        pages.append(forward(dit, there, pages, keep=[0], seed=seed)[1][0])
    joined, calls = context._joined, []

    def failing(parts: Sequence[Tensor]) -> Tensor:
        calls.append(None)
        return joined(parts) if len(calls) % 10 else 1 / 0  # values, after the keys of that layer

    for count in (1, 3, 2):
        with monkeypatch.context() as patch:
            patch.setattr(context, "_joined", failing)
            with pytest.raises(ZeroDivisionError):
                forward(dit, there, pages[:count], 2, keep=[0, 1])
        forward(dit, there, pages[:count], 2, keep=[0, 1])
    assert there.queue > 100


@pytest.mark.skipif(not torch.cuda.is_available(), reason="copies go beside the work of a GPU")
@pytest.mark.parametrize("lock", [True, False], ids=["locked", "pageable"])
@torch.no_grad()
def test_a_gpu_reads_and_makes_the_same_bits_while_it_is_busy(lock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: int) -> Tensor:
        raise RuntimeError("no memory is locked")

    if not lock:
        monkeypatch.setattr("magi_core.cache.pinned.page_locked", refused)
    device = torch.device("cuda")
    dit = dit_of(torch.bfloat16).to(device)
    pool, whole = PagePool(device, 0, 0), OnDevice()
    there = pool.streamed(LAYERS)
    busy = torch.randn(4096, 4096, device=device)
    ours: list[KVPage] = []
    expected: list[KVPage] = []
    for seed in range(12):
        for _ in range(20):  # the model's stream is behind, so that what does not wait is early
            busy = torch.nn.functional.normalize(busy @ busy)
        history = slice(max(0, seed - 3), seed)
        velocity, kept = forward(dit, there, ours[history], 2, keep=[0, 1], seed=seed)
        wanted, whole_kept = forward(dit, whole, expected[history], 2, keep=[0, 1], seed=seed)
        ours.append(kept[seed % 2])
        expected.append(whole_kept[seed % 2])
        assert torch.equal(velocity, wanted)
    torch.cuda.synchronize()
    assert all(map(same_page, ours, expected))
    blocks = pool._blocks
    assert blocks is not None and blocks.nbytes == 14 * ours[0].room, (
        "what was not kept has lent its memory to the next"
    )
    del ours, kept
    pool.give_back()
    assert blocks.nbytes == 0
