"""Freed memory goes back to the system, also where memory in use lies in between."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
import torch

from magi_core import host_memory as freed_memory
from magi_core.host_memory import return_freed_memory, settled
from tools.small_models import tiny_engine

MB = 1 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(freed_memory._glibc() is None, reason="asks glibc, which only Linux has")
def test_holes_between_what_stays_are_handed_back():
    blocks = [torch.ones(4096) for _ in range(5000)]  # 16 kB each, 80 MB in all
    kept = blocks[::20]
    del blocks
    before = resident()
    return_freed_memory()
    assert before - resident() > 40 * MB
    assert all(block.sum() == 4096 for block in kept)


def test_other_c_libraries_are_left_alone(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(freed_memory.ctypes, "CDLL", missing)
    freed_memory._glibc.cache_clear()
    try:
        assert freed_memory._glibc() is None
        return_freed_memory()
    finally:
        freed_memory._glibc.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="memory is page-locked for a GPU")
def test_a_gpu_goes_on_working_where_memory_cannot_be_locked(monkeypatch):
    runtime = torch.cuda.cudart()

    class Refusing:
        def cudaHostRegister(self, address, nbytes, flags):
            runtime.cudaHostRegister(address, nbytes, flags)
            refused = runtime.cudaHostRegister(address, nbytes, flags)  # it is locked already
            runtime.cudaHostUnregister(address)
            return refused

    ones = torch.ones(8, device="cuda")
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "cudart", Refusing)
        with pytest.raises(RuntimeError):
            freed_memory.page_locked(MB)
    assert (ones + 1).sum().item() == 16, "the next kernel hears nothing of it"


def test_what_stays_gets_a_place_of_its_own():
    wide = torch.randn(16, 6, 16, 16).bfloat16()
    kept = settled(wide.transpose(0, 1))
    assert torch.equal(kept, wide.transpose(0, 1)) and kept.dtype == wide.dtype and kept.is_contiguous()
    assert kept.data_ptr() % mmap.PAGESIZE == 0, "not from malloc, which puts its own words in front"
    assert settled(torch.zeros(0, 4)).shape == (0, 4) and torch.equal(settled(torch.ones(3)), torch.ones(3))
    engine = tiny_engine()
    state = engine.extend(engine.begin(width=128, height=128), "red")
    assert state.chunks[0].latent.data_ptr() % mmap.PAGESIZE == 0
