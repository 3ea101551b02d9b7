"""A forward goes in pieces: all rows once and in order, the same result, and no more memory than its widest piece."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from magi_core.attention.sdpa import sdpa
from magi_core.config import DiTConfig
from magi_core.dit import DiT, KVPage, TextAttention, WindowAttention
from magi_core.dit import pieces as cutting
from magi_core.dit.pieces import MOST, frames_at_once, pieces, widest_piece
from magi_core.kernels import fast
from magi_core.operations.fp8 import Fp8Linear
from tests.peak_memory import PeakMemory
from tools.small_models import random_dit

CHUNKS, SIDE = 4, 8  # 6 x 4 x 4 = 96 tokens a chunk
RANGES = [(0, 2), (0, 3), (1, 4), (4, 5)]  # over one page and four chunks


@pytest.mark.parametrize("chunks", [1, 2, 5, 6])
@pytest.mark.parametrize("size", [1, 24, 5_280, 8_192, 12_150, 16_384, 21_600, 100_000])
def test_every_row_is_in_one_piece(chunks: int, size: int) -> None:
    cuts = pieces(chunks, size)
    assert cuts[0].start == 0 and cuts[-1].stop == chunks * size
    assert all(before.stop == after.start for before, after in zip(cuts, cuts[1:], strict=False))
    assert widest_piece(chunks, size) <= MOST
    for cut in cuts:
        first, last = cut.start // size, (cut.stop - 1) // size
        assert first == last or (cut.start % size == cut.stop % size == 0), "a piece is of one chunk, or of whole ones"


@pytest.mark.parametrize(("per_frame", "together"), [(1, 6), (880, 6), (2_025, 3), (3_600, 2), (9_000, 1)])
def test_a_chunk_is_embedded_in_equal_parts(per_frame: int, together: int) -> None:
    assert frames_at_once(6, per_frame) == together and frames_at_once(1, per_frame) == 1


def made(dit: DiT) -> tuple[Tensor, KVPage]:
    generator = torch.Generator().manual_seed(1)
    text = [dit.text_context(torch.randn(n, 16, generator=generator)) for n in (3, 5, 7, 2)]
    latents = torch.randn(1, 16, 6 * (CHUNKS + 1), SIDE, SIDE, generator=generator)

    def forward(frames: range, window: WindowAttention, texts: list) -> Tensor:
        x, t = latents[:, :, frames.start : frames.stop], torch.linspace(0.8, 0.1, len(texts))[None]
        return dit(x, t, TextAttention(sdpa, texts), frames=torch.tensor(frames), attend=window, dropped=False)

    with torch.no_grad():
        first = WindowAttention(sdpa, [(0, 1)], keep=[0])
        forward(range(6), first, text[:1])
        second = WindowAttention(sdpa, RANGES, [first.pages[0]], keep=[1])
        return forward(range(6, 6 * (CHUNKS + 1)), second, text), second.pages[1]


@pytest.mark.parametrize(("fewest", "most"), [(1, 1000), (100, 1000), (1, 40)], ids=["a chunk", "two chunks", "thirds"])
@pytest.mark.parametrize("fp8", [False, True], ids=["plain", "fp8"])
def test_pieces_give_what_the_whole_gives(fewest: int, most: int, fp8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dit = random_dit(fp8)
    velocity, page = made(dit)
    monkeypatch.setattr(cutting, "FEWEST", fewest)
    monkeypatch.setattr(cutting, "MOST", most)
    assert len(pieces(CHUNKS, 96)) > 1
    in_pieces, its_page = made(dit)
    assert (in_pieces - velocity).norm() <= 1e-5 * velocity.norm()
    for ours, expected in zip(its_page.layers, page.layers, strict=True):
        assert (ours.keys_values - expected.keys_values).norm() <= 1e-5 * expected.keys_values.norm()


def forward_of(dit: DiT, chunks: int) -> Callable[[], Tensor]:
    """A forward over `chunks` chunks, its text ready."""
    text, latents = dit.text_context(torch.randn(3, 16)), torch.randn(1, 16, 6 * chunks, SIDE, SIDE)
    window = WindowAttention(sdpa, [(0, i + 1) for i in range(chunks)])
    cross, frames = TextAttention(sdpa, [text] * chunks), torch.arange(6 * chunks)
    call = torch.no_grad()(dit)
    return lambda: call(latents, torch.rand(1, chunks), cross, frames=frames, attend=window, dropped=False)


def operands(chunks: int, size: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[tuple[int, ...]]]:
    """The shapes that every layer is given in a forward over `chunks` chunks, where pieces have `size` rows."""
    dit, heard = random_dit(fp8=False), {}
    forward = forward_of(dit, chunks)
    for name, layer in dit.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv3d):
            hook = lambda _, args, name=name: heard.setdefault(name, set()).add(tuple(args[0].shape))  # noqa: E731
            layer.register_forward_pre_hook(hook)
    monkeypatch.setattr(cutting, "FEWEST", size)
    forward()
    return heard


def test_a_large_chunk_is_given_to_every_layer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one shape, however many are in flight: so its bits cannot depend on that, whatever kernel a shape has."""
    assert operands(1, 96, monkeypatch) == operands(2, 96, monkeypatch) == operands(5, 96, monkeypatch)
    assert operands(1, 97, monkeypatch) != operands(2, 97, monkeypatch), "smaller ones go together"


@pytest.mark.parametrize("fewest", [1, 100])
@pytest.mark.parametrize("fp8", [False, True], ids=["plain", "fp8"])
def test_kernels_are_given_what_their_fast_forms_take(fp8: bool, fewest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors in one piece, also where a piece has several chunks: their gates once had gaps, and went the slow way."""
    scattered: list[str] = []

    def fits(args: tuple) -> bool:
        scattered.extend(str(a.shape) for a in args if isinstance(a, Tensor) and not a.is_contiguous())
        return False

    forward = forward_of(random_dit(fp8), CHUNKS)
    monkeypatch.setattr(fast, "_fits", fits)
    monkeypatch.setattr(cutting, "FEWEST", fewest)
    forward()
    assert not scattered


def test_what_a_host_lays_beside_an_fp8_linear_is_heard() -> None:
    """A LoRA there is a `forward` of the layer's own: no faster way may pass it by."""
    dit, heard = random_dit(fp8=True), set()
    plain, _ = made(dit)

    def beside(name: str, layer: Fp8Linear):
        forward = layer.forward
        return lambda x: (heard.add(name), 2 * forward(x))[1]

    layers = {name: layer for name, layer in dit.named_modules() if isinstance(layer, Fp8Linear)}
    for name, layer in layers.items():
        layer.forward = beside(name, layer)
    louder, _ = made(dit)
    assert heard == set(layers) and len(layers) == 7
    assert not torch.allclose(louder, plain, rtol=1e-2)


def test_a_forward_takes_no_more_for_being_wide_than_its_stream_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten chunks against five: beside the residual stream and one layer's keys and values nothing grows."""
    config = DiTConfig(2, 128, 2048, 4, 2, 32, caption_channels=16, caption_max_length=20)
    dit = DiT(config).requires_grad_(False)
    monkeypatch.setattr(cutting, "FEWEST", 1)

    def peak(chunks: int) -> int:
        text = TextAttention(sdpa, [dit.text_context(torch.randn(4, 16))] * chunks)
        window = WindowAttention(sdpa, [(i, i + 1) for i in range(chunks)])
        latents, frames = torch.randn(1, 16, 6 * chunks, 16, 16), torch.arange(6 * chunks)
        with torch.no_grad(), PeakMemory() as memory:
            dit(latents, torch.rand(1, chunks), text, frames=frames, attend=window, dropped=False)
        return memory.peak

    rows = 5 * 6 * 8 * 8
    stream, keys, rotation = 128 * 4, 2 * 2 * 2 * 32 * 4, 6 * 12 * 4
    assert peak(10) - peak(5) <= 1.1 * rows * (stream + keys + rotation)
