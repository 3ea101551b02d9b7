"""Where the pages that a run reads and makes are: on the device, or in main memory, a layer of them on the device while
its turn lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from magi_core.dit.kv import KVLayer, KVPage
from magi_core.host_memory import Place, aligned
from magi_core.operations.streamed import SLOTS

Read = tuple[Tensor, Tensor]
Reading = Callable[[int], AbstractContextManager[list[Read]]]
"""`(layer) -> keys and values of every page`, on the device until the context is left."""


class Making(Protocol):
    """A page in the making."""

    def add(self, keys: Tensor, values: Tensor) -> None:
        """The next layer's [tokens, groups, d], which are copied."""
        ...

    def made(self) -> KVPage: ...


class Pages(Protocol):
    """Where pages are while a run uses them."""

    def reading(self, pages: Sequence[KVPage]) -> Reading:
        """For a forward that reads `pages`, their layers in order."""
        ...

    def making(self, place: int) -> Making:
        """For a forward that makes a page, or several: its place among those."""
        ...


class OnDevice:
    """Pages lie where they are read."""

    def reading(self, pages: Sequence[KVPage]) -> Reading:
        @contextmanager
        def layers(layer: int) -> Iterator[list[Read]]:
            yield [page.layers[layer].read() for page in pages]

        return layers

    def making(self, place: int) -> Making:
        return _MadeOnDevice()


class _MadeOnDevice:
    def __init__(self) -> None:
        self.layers: list[KVLayer] = []

    def add(self, keys: Tensor, values: Tensor) -> None:
        self.layers.append(KVLayer.of(keys, values))

    def made(self) -> KVPage:
        return KVPage(tuple(self.layers))


Event = torch.cuda.Event | None
"""A moment on a GPU; None on a CPU, where all is done at once."""


@dataclass(eq=False)
class _Slot:
    """Device memory for a layer of one page or more. left: from then on it may be written over."""

    places: list[Tensor] = field(default_factory=list)
    left: Event = None


class StreamedPages:
    """Pages lie in main memory. While a layer of them is read, the next comes; layers of a page leave as they are made.

    device: where they are read. layers: of the model. place: gives memory for a page of so many bytes. copies: the
    stream of all copies to and from such memory, whoever asks for them, so that they are made in the order in which
    they are asked for; None on a CPU.

    What comes goes to `SLOTS` slots in turn, what leaves has a slot for each page that is made in a forward. A copy to
    a slot waits for the work that read it last, work waits for the copy that it needs, and both are told by events that
    are recorded before anyone waits for them. A forward that breaks off leaves events that are true: its slots are used
    again as if it had come to its end.
    """

    def __init__(
        self, device: torch.device, layers: int, place: Callable[[int], Place], copies: torch.cuda.Stream | None
    ) -> None:
        self.device, self.layers, self.place, self.copies = device, layers, place, copies
        self._coming = [_Slot() for _ in range(SLOTS)]
        self._leaving: list[_Slot] = []
        self._turns = 0

    def reading(self, pages: Sequence[KVPage]) -> Reading:
        return _Arriving(self, pages)

    def making(self, place: int) -> Making:
        self._leaving += [_Slot() for _ in range(place + 1 - len(self._leaving))]
        return _Leaving(self, self._leaving[place])

    @property
    def nbytes(self) -> int:
        """Of the device."""
        return sum(place.nbytes for slot in (*self._coming, *self._leaving) for place in slot.places)

    def next_slot(self) -> _Slot:
        self._turns += 1
        return self._coming[self._turns % SLOTS]

    def places(self, slot: _Slot, count: int, nbytes: int) -> list[Tensor]:
        """So many of `slot`'s places, each of `nbytes`."""
        if slot.places and slot.places[0].nbytes != nbytes:
            raise ValueError("the pages of a run are of one size")
        slot.places += [self._allocated(nbytes) for _ in range(count - len(slot.places))]
        return slot.places[:count]

    def copied(self, to: Sequence[KVLayer], of: Sequence[KVLayer], after: Event) -> Event:
        """Queue these copies behind `after`; when they are made."""
        if self.copies is not None and after is not None:
            self.copies.wait_event(after)
        with nullcontext() if self.copies is None else torch.cuda.stream(self.copies):
            for there, source in zip(to, of, strict=True):
                there.copy_(source)
        return None if self.copies is None else self.copies.record_event()

    def queued(self) -> Event:
        """When the model's work that is queued by now is done."""
        return None if self.copies is None else torch.cuda.current_stream(self.device).record_event()

    def wait(self, event: Event) -> None:
        """The model's work that is queued from now on comes after `event`."""
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)

    def _allocated(self, nbytes: int) -> Tensor:
        """Memory of the stream that is current, which may hold work that reads what lay there before; it goes back to
        that stream when the copies that are queued by then are made."""
        place = torch.empty(nbytes, dtype=torch.uint8, device=self.device)
        if self.copies is not None:
            self.copies.wait_stream(torch.cuda.current_stream(self.device))
            place.record_stream(self.copies)
        return place


class _Arriving:
    """The layers of some pages in one forward."""

    def __init__(self, streamed: StreamedPages, pages: Sequence[KVPage]) -> None:
        self.streamed, self.pages = streamed, pages
        self._next: tuple[int, _Slot, list[KVLayer], Event] | None = None

    @contextmanager
    def __call__(self, layer: int) -> Iterator[list[Read]]:
        if not self.pages:
            yield []
            return
        if self._next is None:
            self._fetch(layer)
        assert self._next is not None and self._next[0] == layer, "layers are read in their order"
        _, slot, here, there = self._next
        self.streamed.wait(there)
        try:
            yield [one.read() for one in here]
        finally:
            slot.left = self.streamed.queued()
        if layer + 1 < len(self.pages[0].layers):
            self._fetch(layer + 1)

    def _fetch(self, layer: int) -> None:
        slot, waiting = self.streamed.next_slot(), [page.layers[layer] for page in self.pages]
        places = self.streamed.places(slot, len(waiting), waiting[0].room)
        here = [one.within(place) for one, place in zip(waiting, places, strict=True)]
        self._next = layer, slot, here, self.streamed.copied(here, waiting, slot.left)


class _Leaving:
    """A page on its way to main memory. slot: where a layer of it is put together."""

    def __init__(self, streamed: StreamedPages, slot: _Slot) -> None:
        self.streamed, self.slot = streamed, slot
        self.layers: list[KVLayer] = []
        self.place: Place | None = None

    def add(self, keys: Tensor, values: Tensor) -> None:
        streamed, slot = self.streamed, self.slot
        room = aligned(keys.nbytes + values.nbytes)
        (there,) = streamed.places(slot, 1, room)
        streamed.wait(slot.left)
        made = KVLayer.of(keys, values, there)
        if self.place is None:
            self.place = streamed.place(room * streamed.layers)
        waiting = made.within(self.place.block[len(self.layers) * room :])
        slot.left = streamed.copied([waiting], [made], streamed.queued())
        self.layers.append(waiting)

    def made(self) -> KVPage:
        return KVPage(tuple(self.layers), self.place)
