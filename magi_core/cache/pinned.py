"""Host memory that a GPU copies to and from by itself: expensive to get, so kept and filled again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.dit import KVPage
from magi_core.host_memory import page_locked

ALIGNMENT = 256  # bytes; of every tensor in a block


@dataclass(frozen=True, eq=False)
class HostPage:
    """A page in main memory. block: what it lies in, page-locked; None where it lies as it came."""

    page: KVPage
    block: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return self.page.nbytes


class PinnedBlocks:
    """Page-locked blocks of host memory, one a page; those that are free are filled again.

    Every copy to and from a block is queued on `stream`, so that a free block can be filled at once: the copy out of it
    comes first. Getting a block takes half a second for each 1.7 GB: `prepare` does it beside the run.
    """

    def __init__(self, stream: torch.cuda.Stream, budget: int) -> None:
        self.stream, self.budget = stream, budget
        self._free: list[Tensor] = []
        self._held = 0
        self._coming: _Coming | None = None

    def filled(self, page: KVPage) -> HostPage:
        """A copy of `page` in a block of its own until that is given to `free`."""
        block, at = self._block(block_bytes([tensor.nbytes for layer in page.layers for tensor in layer.tensors])), 0

        def placed(tensor: Tensor) -> Tensor:
            nonlocal at
            place = block[at : at + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            at += _aligned(tensor.nbytes)
            return place.copy_(tensor, non_blocking=True)

        with torch.cuda.stream(self.stream):
            return HostPage(page.map(placed), block)

    def free(self, host_page: HostPage) -> None:
        """Nobody will read this page again."""
        if host_page.block is not None:
            self._free.append(host_page.block)

    def prepare(self, nbytes: int) -> None:
        """Have a block of that size at hand soon, if the budget has room for one more."""
        at_hand = any(block.nbytes == nbytes for block in self._free)
        if self._coming is None and not at_hand and self._held + nbytes <= self.budget:
            self._held += nbytes
            self._coming = _Coming(nbytes, self.stream.device)
            self._coming.start()

    @property
    def nbytes(self) -> int:
        """Page-locked bytes, in use or not."""
        return self._held

    def _block(self, nbytes: int) -> Tensor:
        self._take_in()
        for i, block in enumerate(self._free):
            if block.nbytes == nbytes:
                return self._free.pop(i)
        if self._held + nbytes > self.budget and self._free:  # pages of another size
            self.stream.synchronize()
            self._held -= sum(block.nbytes for block in self._free)
            self._free.clear()
        self._held += nbytes
        return page_locked(nbytes)

    def _take_in(self) -> None:
        """The block that was prepared, as soon as it is there, is free."""
        if self._coming is None:
            return
        self._coming.join()
        if self._coming.block is None:  # whoever needs a block gets its own, or hears why there is none
            self._held -= self._coming.nbytes
        else:
            self._free.append(self._coming.block)
        self._coming = None


class _Coming(threading.Thread):
    """Gets a block of `nbytes`; `block` is None where that failed."""

    def __init__(self, nbytes: int, device: torch.device) -> None:
        super().__init__(name="MAGI host memory")
        self.nbytes, self.device = nbytes, device
        self.block: Tensor | None = None

    def run(self) -> None:
        try:
            with torch.cuda.device(self.device):
                self.block = page_locked(self.nbytes)
        except (RuntimeError, OSError):
            self.block = None


def block_bytes(tensors: Sequence[int]) -> int:
    """Bytes of a block for tensors of so many bytes each."""
    return sum(map(_aligned, tensors))


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
