"""A model whose blocks wait elsewhere and are streamed makes the same bits, within its budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import magi_core
from magi_core.attention.sdpa import sdpa
from magi_core.budget import WithinBudget, allowed_bytes, allowed_on
from magi_core.budget.spread import fewest_streamed
from magi_core.dit import DiT, TextAttention, WindowAttention
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.operations import PLAIN, Operations, Streamed
from magi_core.operations.streamed import Lane
from tools.small_models import small_config, tiny_engine, with_random_weights

CPU = torch.device("cpu")


def dit_of(operations: Operations, fp8: bool = False, dtype: torch.dtype = torch.float32) -> DiT:
    config = replace(small_config(fp8), num_layers=7)
    return with_random_weights(DiT(config, operations=operations, dtype=dtype))


def forward(dit: DiT, seed: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    text = dit.text_context(torch.randn(7, 16, generator=generator))
    latents = torch.randn(1, 16, 12, 4, 4, generator=generator)
    return dit(
        latents,
        torch.tensor([[0.3, 0.1]]),
        TextAttention(sdpa, [text, text]),
        frames=torch.arange(12),
        attend=WindowAttention(sdpa, [(0, 1), (0, 2)]),
        dropped=True,
    )


def streamed(fp8: bool = False, dtype: torch.dtype = torch.float32, need: int = 10**6) -> tuple[DiT, WithinBudget]:
    """A model all of whose blocks are streamed."""
    operations = Streamed()
    dit = dit_of(operations, fp8, dtype)
    host = WithinBudget(dit, operations, CPU, allowed=0)
    host.allowed = host.least + need
    host.loaded_for(need)
    assert host.streamed == 7
    return dit, host


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fp8", [False, True], ids=["bf16 file", "fp8 file"])
@torch.no_grad()
def test_streamed_blocks_make_the_same_bits_round_after_round(fp8: bool, dtype: torch.dtype) -> None:
    plain, (dit, _) = dit_of(PLAIN, fp8, dtype), streamed(fp8, dtype)
    for seed in range(3):
        assert torch.equal(forward(dit, seed), forward(plain, seed))


@torch.no_grad()
def test_a_run_that_needs_more_streams_more_blocks_and_one_that_needs_less_has_them_back() -> None:
    dit, host = streamed()
    expected = forward(dit_of(PLAIN))
    count, need = [], host.allowed - host.least
    block = sum(parameter.nbytes for parameter in dit.videodit_blocks.layers[1].parameters())
    for more in (0, 3 * block, 9 * block, 3 * block):
        host.loaded_for(need - more)
        count.append(host.streamed)
        assert torch.equal(forward(dit), expected)
    assert count[0] == 7 > count[1] == count[3] > count[2] == 0


@torch.no_grad()
def test_a_forward_that_breaks_off_leaves_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    dit, _ = streamed()
    block, expected = dit.videodit_blocks.layers[3], forward(dit_of(PLAIN))
    kept = []
    for _ in range(2):  # what was raised keeps the frames of the forward alive
        monkeypatch.setattr(block, "forward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError) as raised:
            forward(dit)
        kept.append(raised)
        monkeypatch.undo()
        assert torch.equal(forward(dit), expected)


@torch.no_grad()
def test_nothing_is_allocated_per_forward_and_weights_are_as_they_were_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dit, _ = streamed()
    before = {name: (parameter.data_ptr(), parameter.clone()) for name, parameter in dit.named_parameters()}
    made: list[Lane] = []
    monkeypatch.setattr(Lane, "__init__", lambda self, *_: made.append(self))
    places = [set[int]() for _ in range(2)]
    arrive = Lane.arrive

    def seen(lane: Lane, part: object) -> None:
        arrive(lane, part)  # type: ignore[arg-type]
        places[len(lane._slots[0]) > 10_000].add(lane._here.parameters[0].data_ptr())  # type: ignore[union-attr]

    monkeypatch.setattr(Lane, "arrive", seen)
    for _ in range(2):
        forward(dit)
    assert not made and all(len(addresses) == 2 for addresses in places)
    for name, parameter in dit.named_parameters():
        assert parameter.data_ptr() == before[name][0] and torch.equal(parameter, before[name][1]), name


def test_blocks_that_are_streamed_are_few_spread_and_the_small_ones() -> None:
    sizes = [20, *[10] * 10, 20]
    assert fewest_streamed(sizes, 140 - 10) == {1, 4, 7}
    assert all(sizes[i] == 10 for i in fewest_streamed(sizes, 60))
    assert fewest_streamed(sizes, 40) == frozenset(range(12)) == fewest_streamed(sizes, 0)
    for room in range(40, 140):
        chosen = fewest_streamed(sizes, room)
        places = 2 * max(sizes[i] for i in chosen)
        assert sum(size for i, size in enumerate(sizes) if i not in chosen) + places <= room


@pytest.fixture
def engine() -> tuple[Engine, WithinBudget]:
    operations = Streamed()
    dit = dit_of(operations)
    host = WithinBudget(dit, operations, CPU, allowed=0, beside=1000)
    return tiny_engine().copy(dit=dit, host=host, fingerprint="tiny"), host


def test_a_run_that_does_not_fit_says_so_before_it_begins(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made, host = engine
    extension = made.plan(made.begin(width=32, height=32), "red")
    host.allowed = host.least + extension.need.total - 1
    with monkeypatch.context() as patch:
        patch.setattr(DiT, "forward", lambda *_, **__: pytest.fail("it ran"))
        with pytest.raises(MagiError, match="32x32 does not fit the memory .* width and height smaller.* more memory"):
            made.run(extension)
    host.allowed += 1
    *_, done = made.run(extension)
    assert host.streamed == 7
    plain = tiny_engine().copy(dit=dit_of(PLAIN), fingerprint="tiny")
    expected = plain.extend(plain.begin(width=32, height=32), "red")
    assert torch.equal(done.chunks[0].latent, expected.chunks[0].latent)


@pytest.mark.parametrize("vram", [0, -8, 1.9, 5000, float("nan"), "much", None])
def test_a_budget_is_a_number_of_gigabytes(vram) -> None:
    with pytest.raises(MagiError, match="number of GB from 2 to 1024"):
        allowed_bytes(vram)
    assert allowed_bytes(8) == 7_150_000_000


def test_a_budget_without_a_gpu_is_refused() -> None:
    with pytest.raises(MagiError, match="runs on cpu, which has no GPU's memory"):
        magi_core.load("nano", device="cpu", vram=8)
    assert allowed_on(CPU, None) is None
