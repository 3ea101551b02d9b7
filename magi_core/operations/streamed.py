"""Operations whose blocks' weights may wait in main memory: each is on the device while its turn lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from magi_core.host_memory import aligned, page_locked
from magi_core.operations.plain import Plain

SLOTS = 2  # parts on the device at a time: one at work, one on its way


class Part:
    """The weights of a few modules, which travel together.

    home: where their numbers are, for every parameter; outside a turn the parameters are these.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.home: list[Tensor] = [parameter.data for parameter in self.parameters]
        self.block: Tensor | None = None  # what all of `home` lies in, one after the other
        self.nbytes = sum(aligned(tensor.nbytes) for tensor in self.home)

    def settle(self, home: Sequence[Tensor], block: Tensor | None = None) -> None:
        self.home, self.block = list(home), block
        self.stay()

    def stay(self) -> None:
        """Every parameter is what its home holds."""
        self.point_to(self.home)

    def point_to(self, tensors: Sequence[Tensor]) -> None:
        for parameter, tensor in zip(self.parameters, tensors, strict=True):
            parameter.data = tensor

    def laid_out(self, block: Tensor) -> list[Tensor]:
        """Places for all parameters in `block` [bytes], uint8."""
        places, at = [], 0
        for tensor in self.home:
            places.append(block[at : at + tensor.nbytes].view(tensor.dtype).view(tensor.shape))
            at += aligned(tensor.nbytes)
        return places

    def copied(self, block: Tensor) -> list[Tensor]:
        """`laid_out`, with the numbers in it: one copy where they lie in one block."""
        places = self.laid_out(block)
        if self.block is not None:
            block[: self.nbytes].copy_(self.block[: self.nbytes], non_blocking=True)
        else:
            for place, tensor in zip(places, self.home, strict=True):
                place.copy_(tensor, non_blocking=True)
        return places

    def to_device(self, device: torch.device) -> None:
        """Have its home on `device` from now on."""
        block = torch.empty(self.nbytes, dtype=torch.uint8, device=device)
        places = self.copied(block)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # where they were goes back to the system
        self.settle(places, block)

    def to_host(self, *, locked: bool) -> None:
        """Have its home in main memory from now on; locked: where a GPU reads by itself, in one copy."""
        if locked:
            block = page_locked(self.nbytes)
            places = self.copied(block)
            if self.home[0].device.type == "cuda":
                torch.cuda.synchronize(self.home[0].device)
            self.settle(places, block)
        elif self.home[0].device.type != "cpu":
            self.settle([tensor.cpu() for tensor in self.home])


class Lane:
    """Parts that pass through two places on the device in turn, round and round: while one is at work, the next comes.

    Places and stream are there from the beginning; a forward allocates nothing. The next part is asked for when the
    work of this one is queued, so that a copy that keeps the processor busy (from memory that is not page-locked) runs
    beside that work, too.
    """

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        self.parts = list(parts)
        size = max(part.nbytes for part in parts)
        self._slots = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(SLOTS)]
        self._left: list[torch.cuda.Event | None] = [None] * SLOTS  # after the work that read a slot last
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._fetches = 0
        self._coming: _Coming | None = None
        self._here: Part | None = None

    def begin(self) -> None:
        """A round begins with the first part, also where the one before was broken off."""
        if self._here is not None:
            self._here.stay()
            self._here = None
        if self._coming is not None and self._coming.part is self.parts[0]:
            return
        if self._copies is not None:
            self._copies.wait_stream(torch.cuda.current_stream(self._copies.device))
        self._fetch(self.parts[0])

    def arrive(self, part: Part) -> None:
        """Work that is queued from now on finds the numbers of `part` on the device."""
        coming = self._coming
        assert coming is not None and coming.part is part, "parts are used in their order"
        if coming.there is not None:
            torch.cuda.current_stream(coming.there.device).wait_event(coming.there)
        part.point_to(coming.places)
        self._here = part

    def leave(self, part: Part) -> None:
        """Work that is queued by now is the last that reads them there; the next part comes."""
        coming = self._coming
        assert coming is not None and coming.part is part, "what leaves was here"
        part.stay()
        self._here = None
        if coming.there is not None:
            self._left[coming.slot] = torch.cuda.current_stream(coming.there.device).record_event()
        self._fetch(self.parts[(self.parts.index(part) + 1) % len(self.parts)])

    def _fetch(self, part: Part) -> None:
        slot = self._fetches % SLOTS
        self._fetches += 1
        if self._copies is None:
            self._coming = _Coming(part, slot, part.copied(self._slots[slot]), None)
            return
        left = self._left[slot]
        if left is not None:
            self._copies.wait_event(left)
        with torch.cuda.stream(self._copies):
            places = part.copied(self._slots[slot])
            self._coming = _Coming(part, slot, places, self._copies.record_event())


@dataclass(frozen=True, eq=False)
class _Coming:
    """A part on its way. there: when it has come."""

    part: Part
    slot: int
    places: list[Tensor]
    there: torch.cuda.Event | None


class Streamed(Plain):
    """Plain PyTorch's layers; parts that are given to `stream` come to the device when it is their turn.

    Until then all weights are where they were loaded, and this is `Plain`.
    """

    def __init__(self) -> None:
        self._parts: dict[nn.Module, tuple[Lane, Part]] = {}

    def stream(self, lanes: Sequence[Sequence[tuple[nn.Module, Part]]], device: torch.device) -> None:
        """From now on these parts pass through `device`, and no others. A part is known by the first of its modules;
        those of a lane are used in its order."""
        self._parts.clear()
        for named in lanes:
            if named:
                lane = Lane([part for _, part in named], device)
                self._parts |= {module: (lane, part) for module, part in named}

    def in_turn(self, groups: Sequence[Sequence[nn.Module]], device: torch.device) -> Iterator[None]:
        streamed = [self._parts.get(group[0]) for group in groups]
        for lane in {id(found[0]): found[0] for found in streamed if found is not None}.values():
            lane.begin()
        for found in streamed:
            if found is None:
                yield
                continue
            lane, part = found
            lane.arrive(part)
            yield
            lane.leave(part)
