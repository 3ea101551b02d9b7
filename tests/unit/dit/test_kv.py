"""K/V as values: what is stored is what attention reads, and whatever a layer holds moves and is counted with it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from magi_core.dit import KVLayer, KVPage, WindowAttention


def layer(tokens: int = 3, scales: bool = False) -> KVLayer:
    keys_values = torch.arange(tokens * 2 * 8.0).view(tokens, 2, 8)
    return KVLayer(keys_values, torch.ones(tokens, 2, 2) if scales else None)


def test_keys_and_values_are_read_as_they_were_kept() -> None:
    keys, values = torch.randn(2, 5, 3, 4).unbind()
    kept = KVLayer.of(keys, values)
    assert all(torch.equal(a, b) for a, b in zip(kept.read(), (keys, values), strict=True))
    keys.zero_()
    assert kept.read()[0].any(), "a layer is a copy: the forward's own tensors are written over"


def test_scales_move_and_count_with_the_numbers() -> None:
    page = KVPage((layer(scales=True), layer(scales=True)))
    assert page.nbytes == 2 * (3 * 2 * 8 * 4 + 3 * 2 * 2 * 4) and page.tokens == 3
    moved = page.to(torch.device("meta"))
    assert moved.device.type == "meta" and page.device.type == "cpu"
    assert {t.device.type for part in moved.layers for t in part.tensors} == {"meta"} and moved.nbytes == page.nbytes
    assert all(t.dtype == torch.float64 for part in page.map(torch.Tensor.double).layers for t in part.tensors)
    assert layer().nbytes == 3 * 2 * 8 * 4 and layer().scales is None


def test_a_page_is_never_written_to() -> None:
    page = KVPage((layer(),))
    for part in (page, page.layers[0]):
        with pytest.raises(FrozenInstanceError):
            part.scales = None  # type: ignore[misc]


def test_a_kept_chunk_is_what_later_chunks_attend_to() -> None:
    """Two forwards, the second over the page that the first kept, read what one forward over both chunks reads."""
    read: list[tuple[torch.Tensor, torch.Tensor]] = []

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, spans: object) -> torch.Tensor:
        read.append((k, v))
        return q

    q, k, v = torch.randn(1, 8, 4, 6), torch.randn(1, 8, 2, 6), torch.randn(1, 8, 2, 6)
    first = WindowAttention(attention, [(0, 1)], keep=[0])
    first(0, [k[:, :4]], [v[:, :4]])(q[:, :4], 0)
    second = WindowAttention(attention, [(0, 2)], [first.pages[0]])
    second(0, [k[:, 4:]], [v[:, 4:]])(q[:, 4:], 0)
    assert torch.equal(read[1][0], k[0]) and torch.equal(read[1][1], v[0])
