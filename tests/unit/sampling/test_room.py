"""A size that cannot fit is refused before any work, in words."""

from __future__ import annotations

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.host_memory import physical_memory
from magi_core.sampling import room
from tools.small_models import tiny_engine


def test_a_size_that_no_forward_fits_is_refused_before_the_first(monkeypatch):
    engine = tiny_engine()
    extension = engine.plan(engine.begin(width=512, height=512), "red")
    monkeypatch.setattr(room, "physical_memory", lambda: extension.need.activations - 1)
    monkeypatch.setattr(type(engine.dit), "forward", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(MagiError, match="512x512 is too large here: .* Make width and height smaller"):
        engine.run(extension)


@pytest.mark.parametrize("there", [None, 10**12])
def test_what_may_fit_runs(monkeypatch, there):
    engine = tiny_engine()
    monkeypatch.setattr(room, "physical_memory", lambda: there)
    assert engine.extend(engine.begin(width=32, height=32), "red").finished == 1


def test_what_is_remembered_needs_no_room(monkeypatch):
    engine = tiny_engine()
    begun = engine.begin(width=32, height=32)
    engine.extend(begun, "red")
    monkeypatch.setattr(room, "physical_memory", lambda: 1)
    assert engine.extend(begun, "red").finished == 1
    with pytest.raises(MagiError, match="too large here"):
        engine.extend(begun, "blue")


def test_the_machines_memory_is_known_here():
    assert physical_memory() is None or physical_memory() > 100 * torch.zeros(1 << 20).nbytes
