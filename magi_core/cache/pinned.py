"""Host memory that a GPU copies to and from by itself: expensive to get, so kept and filled again."""

from __future__ import annotations

import logging
import threading
import weakref

import torch
from torch import Tensor

from magi_core.dit import KVPage
from magi_core.host_memory import Place, page_locked

log = logging.getLogger(__name__)


class PinnedBlocks:
    """Page-locked blocks of host memory, one a page; those that are free are filled again.

    Every copy to and from a block is queued on `stream`, so that a free block can be filled at once: the copy out of it
    comes first. Getting a block takes half a second for each 1.7 GB: `prepare` does it beside the run. Where the system
    locks no more, a block is of ordinary memory.
    """

    def __init__(self, stream: torch.cuda.Stream, budget: int) -> None:
        self.stream, self.budget = stream, budget
        self._free: list[Tensor] = []
        self._held = 0
        self._coming: _Coming | None = None
        weakref.finalize(self, stream.synchronize).atexit = False  # blocks go with it, and copies may be under way

    def place(self, nbytes: int) -> Place:
        """A block of its own for as long as the place is held."""
        place = Place(self._block(nbytes))
        weakref.finalize(place, self._free.append, place.block).atexit = False
        return place

    def filled(self, page: KVPage) -> KVPage:
        """A copy of `page` in a block of its own for as long as it is held."""
        place, at, layers = self.place(page.room), 0, []
        with torch.cuda.stream(self.stream):
            for layer in page.layers:
                layers.append(layer.within(place.block[at : at + layer.room]))
                layers[-1].copy_(layer)
                at += layer.room
        return KVPage(tuple(layers), place)

    def give_back(self) -> None:
        """What nobody uses goes back, where more is held than the budget."""
        if self._held > self.budget:
            self.clear()

    def clear(self) -> None:
        """What nobody uses goes back."""
        self._take_in()
        self.stream.synchronize()
        self._held -= sum(block.nbytes for block in self._free)
        self._free.clear()

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
            self.clear()
        block = _locked(nbytes)
        self._held += nbytes
        return block

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


def _locked(nbytes: int) -> Tensor:
    try:
        return page_locked(nbytes)
    except (RuntimeError, OSError):
        log.warning(
            "MAGI: there is too little main memory to lock K/V pages in it, so they are copied to and from ordinary "
            "memory: slower, with the same result"
        )
        return torch.empty(nbytes, dtype=torch.uint8)
