"""Host memory that a GPU copies to and from by itself: expensive to get, so kept and filled again."""

from __future__ import annotations

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
    comes first.
    """

    def __init__(self, stream: torch.cuda.Stream, budget: int) -> None:
        self.stream, self.budget = stream, budget
        self._free: list[Tensor] = []
        self._held = 0

    def filled(self, page: KVPage) -> HostPage:
        """A copy of `page` in a block of its own until that is given to `free`."""
        nbytes = sum(_aligned(tensor) for layer in page.layers for tensor in layer.tensors)
        block, at = self._block(nbytes), 0

        def placed(tensor: Tensor) -> Tensor:
            nonlocal at
            place = block[at : at + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            at += _aligned(tensor)
            return place.copy_(tensor, non_blocking=True)

        with torch.cuda.stream(self.stream):
            return HostPage(page.map(placed), block)

    def free(self, host_page: HostPage) -> None:
        """Nobody will read this page again."""
        if host_page.block is not None:
            self._free.append(host_page.block)

    @property
    def nbytes(self) -> int:
        """Page-locked bytes, in use or not."""
        return self._held

    def _block(self, nbytes: int) -> Tensor:
        for i, block in enumerate(self._free):
            if block.nbytes == nbytes:
                return self._free.pop(i)
        if self._held + nbytes > self.budget and self._free:  # pages of another size
            self.stream.synchronize()
            self._held -= sum(block.nbytes for block in self._free)
            self._free.clear()
        self._held += nbytes
        return page_locked(nbytes)


def _aligned(tensor: Tensor) -> int:
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
