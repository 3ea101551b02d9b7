"""A host that keeps the whole process within a budget of the device's memory: blocks that find no room are streamed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from magi_core.budget.spread import fewest_streamed
from magi_core.dit import DiT
from magi_core.host import OnDevice
from magi_core.host_memory import available_memory
from magi_core.operations.streamed import SLOTS, Part, Streamed

log = logging.getLogger(__name__)

HOLES, FEWEST_HOLES = 750_000_000, 150_000_000  # bytes between tensors that nothing fits: beside weights, and without
KEPT_FREE = 0.1  # of the available main memory, which is not page-locked


class WithinBudget:
    """A `Host` that has as many blocks on the device as find room beside a run, and streams the others.

    dit: made with `operations`, its weights on `device` or in main memory. allowed: bytes of tensors on the device.
    beside: bytes of them that other models take. lock: whether weights that wait may be page-locked.
    """

    def __init__(
        self,
        dit: DiT,
        operations: Streamed,
        device: torch.device,
        allowed: int,
        beside: int = 0,
        *,
        lock: bool = True,
    ) -> None:
        self.dit, self.operations, self.allowed, self.beside, self.lock = dit, operations, allowed, beside, lock
        self.device = torch.empty(0, device=device).device  # with its number
        dit.device = self.device
        blocks = list(dit.videodit_blocks)
        self._rows = [(block.row_layers[0], Part(block.row_layers)) for block in blocks]
        self._texts = [(block.text_layers[0], Part(block.text_layers)) for block in blocks]
        in_blocks = {id(parameter) for _, part in (*self._rows, *self._texts) for parameter in part.parameters}
        self._others = [parameter for parameter in dit.parameters() if id(parameter) not in in_blocks]
        self._streamed: frozenset[int] | None = None  # blocks; None before the weights have their places

    def loaded_for(self, need: int) -> None:
        streamed = self.streamed_for(need)
        if streamed != self._streamed:
            self._place(streamed)
            self._streamed = streamed

    def room(self) -> int:
        """Bytes for a run where every block is streamed."""
        return self.allowed - self.least - FEWEST_HOLES

    def fits(self, need: int) -> bool:
        return self._left(need) >= 0

    def spare(self, need: int) -> int:
        return max(0, self._left(need))

    def release(self, kept: OnDevice) -> None:
        pass

    def cancelled(self) -> bool:
        return False

    @property
    def least(self) -> int:
        """Bytes that are on the device in any case: other models, what stands around the blocks, places for blocks."""
        places = SLOTS * sum(max(part.nbytes for _, part in parts) for parts in (self._rows, self._texts))
        return self.beside + sum(parameter.nbytes for parameter in self._others) + places

    @property
    def streamed(self) -> int:
        """Blocks that are streamed now."""
        return len(self._streamed or ())

    @property
    def page_locked(self) -> int:
        """Bytes of weights that wait in page-locked memory."""
        parts = [part for _, part in (*self._rows, *self._texts) if part.block is not None]
        return sum(part.nbytes for part in parts if part.block is not None and part.block.device.type == "cpu")

    def streamed_for(self, need: int) -> frozenset[int]:
        """The blocks that wait in main memory in a run that takes `need` bytes; their texts' layers do with any."""
        if self.fits(need):
            return frozenset()
        sizes, texts = [part.nbytes for _, part in self._rows], [part.nbytes for _, part in self._texts]
        return fewest_streamed(sizes, self._left(need) + sum(sizes) + sum(texts) - SLOTS * max(texts))

    def _left(self, need: int) -> int:
        """Bytes beside all of the weights and a run of `need` bytes; below 0 as many as are missing."""
        parts = sum(part.nbytes for _, part in (*self._rows, *self._texts))
        others = sum(parameter.nbytes for parameter in self._others)
        return self.allowed - self.beside - others - parts - need - HOLES

    def _place(self, streamed: frozenset[int]) -> None:
        """Bring every weight where it is to be. What leaves the device goes first."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # parts may be on their way
        self.operations.stream([], self.device)
        for parameter in self._others:
            parameter.data = parameter.data.to(self.device)
        rows, texts = self._rows, self._texts
        waiting = [rows[i] for i in sorted(streamed)]
        passing = [*waiting, *(texts if streamed else [])]
        self._to_host([part for _, part in passing])
        staying = {id(part) for _, part in (*rows, *texts)} - {id(part) for _, part in passing}
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        for _, part in (*rows, *texts):
            if id(part) in staying and part.home[0].device != self.device:
                part.to_device(self.device)
        if streamed:
            self.operations.stream([waiting, texts], self.device)
            log.info("MAGI: %d of %d blocks are streamed from main memory", len(streamed), len(rows))

    def _to_host(self, parts: Sequence[Part]) -> None:
        """Have `parts` wait in main memory, page-locked as far as the system gives that."""
        leaving = [part for part in parts if not _is_locked(part)]
        on_gpu = self.device.type == "cuda"
        lock = on_gpu and self.lock and _can_lock(sum(part.nbytes for part in leaving))
        for part in leaving:
            lock = lock and _locked(part)
            if not lock:
                part.to_host(locked=False)
        if leaving and on_gpu and not lock:
            log.warning(
                "MAGI: there is too little main memory to lock the model's weights in it, so they are streamed from "
                "ordinary memory: slower, with the same result"
            )


def _locked(part: Part) -> bool:
    """Whether the system gave page-locked memory to `part`, which is there now."""
    try:
        part.to_host(locked=True)
    except (RuntimeError, OSError, MemoryError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        return False
    return True


def _is_locked(part: Part) -> bool:
    return part.block is not None and part.block.device.type == "cpu"


def _can_lock(nbytes: int) -> bool:
    free = available_memory()
    return free is None or nbytes <= free * (1 - KEPT_FREE)
