"""In the steady state a forward brings nothing from the host to its device, and asks nothing of it: no GPU waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from magi_core.cache.page_pool import PagePool
from magi_core.config import SamplingSettings
from magi_core.dit import DiT
from magi_core.sampling.forward import Predictor
from magi_core.sampling.loop import Loop, Past
from magi_core.sampling.pages import PageBook
from magi_core.sampling.window import Sight, Slot
from magi_core.state import ChunkRecord, Frontier, InFlight, PlacedChunk
from magi_core.state.chunk import Source
from magi_core.story.chunk import ChunkSpec
from magi_core.text.chunk_text import ChunkText
from tests.transfers import Transfers
from tools.small_models import small_config, tiny_dit

FINISHED, WINDOW = 10, 4
TEXT = ChunkText(torch.zeros(7, 16), "text")


def unread(q: Tensor, k: Tensor, v: Tensor, spans: object) -> Tensor:
    """Attention of any kind."""
    return torch.empty_like(q)


def latent(device: str = "meta") -> Tensor:
    return torch.zeros(16, 6, 4, 4, device=device)


def loop_of(dit: DiT, tied: bool = False, **settings: Any) -> Loop:
    """Four chunks in flight behind ten that are finished, all of it on `meta`; tied: the newest two, to their sources,
    which are on the host."""
    made = SamplingSettings.for_model(dit.config).with_changes(**{"steps": 8, **settings})
    predictor = Predictor(dit, unread, made, dit.text_context(torch.zeros(5, 16)))
    past = SimpleNamespace(finished=FINISHED, chunk_latent=lambda _: latent(), chunk_key=str)
    pages = PageBook(PagePool(torch.device("cpu"), 0), "", str, lambda index: range(index, index), pooled=True)
    releases = {FINISHED + 2: 7, FINISHED + 3: 7} if tied else {}
    loop = Loop(
        predictor,
        Past(past),  # type: ignore[arg-type]
        lambda index: Sight(release=releases.get(index, 0)),
        Frontier((), FINISHED, 0),
        pages,
    )
    for slot in slots():
        at = PlacedChunk(slot.index, ChunkSpec("red"), 0, key="key")
        source = Source(ChunkRecord(at, latent("cpu"), 0), 7) if slot.index in releases else None
        loop._moving[slot.index] = InFlight(at, TEXT, latent(), slot.stage, source)
    return loop


def slots() -> list[Slot]:
    return [Slot(FINISHED + place, WINDOW - 1 - place) for place in range(WINDOW)]


def forwards(loop: Loop) -> list[Transfers]:
    """What every forward of a stage sends."""
    seen, stage = [], loop._stage(slots())
    while True:
        with Transfers() as watched:
            if next(stage, None) is None:
                return seen
        seen.append(watched)


KINDS: dict[str, dict[str, Any]] = {
    "base": {},
    "distilled": {"distill": True},
    "draft": {"draft": "light"},
    "second pass": {"tied": True},
    "fp8": {"fp8": True},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_forward_of_the_second_stage_sends_nothing(kind: dict[str, Any]) -> None:
    how = dict(kind)
    config = small_config(True) if how.pop("fp8", False) else tiny_dit(how.pop("distill", False)).config
    loop = loop_of(DiT(config, device="meta").requires_grad_(False), **how)
    first = forwards(loop)
    loop.predictor.forget_held()
    second = forwards(loop)
    assert len(first) == len(second) == 2 and all(sum(one.operators.values()) > 50 for one in second)
    assert sum(sum(one.sent.values()) for one in first) > 0, "timesteps, once"
    assert [dict(one.sent) for one in second] == [{}] * 2
