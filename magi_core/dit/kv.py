"""Keys and values of finished chunks, as values: what the cache keeps and moves, and later chunks attend to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.host_memory import Place, aligned


@dataclass(frozen=True, eq=False)
class KVLayer:
    """One layer's keys and values of one chunk, normalised and rotated.

    keys_values: [tokens, groups, 2 * d], K then V. scales: of a number format that needs them, [tokens, groups, 2].
    """

    keys_values: Tensor
    scales: Tensor | None = None

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, block: Tensor | None = None) -> KVLayer:
        """From keys and values [tokens, groups, d], copied and kept as they are; in `block` [bytes] uint8, if given."""
        out = None
        if block is not None:
            out = block[: keys.nbytes + values.nbytes].view(keys.dtype).view(*keys.shape[:-1], 2 * keys.shape[-1])
        return cls(torch.cat([keys, values], dim=-1, out=out))

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values [tokens, groups, d], as attention takes them."""
        keys, values = self.keys_values.chunk(2, dim=-1)
        return keys, values

    def map(self, change: Callable[[Tensor], Tensor]) -> KVLayer:
        """With every tensor it holds changed."""
        return KVLayer(change(self.keys_values), None if self.scales is None else change(self.scales))

    def within(self, block: Tensor) -> KVLayer:
        """Places for all that it holds, one after the other in `block` [bytes] uint8, of which that takes `room`."""
        at = 0

        def place(tensor: Tensor) -> Tensor:
            nonlocal at
            at += aligned(tensor.nbytes)
            start = at - aligned(tensor.nbytes)
            return block[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)

        return self.map(place)

    def copy_(self, other: KVLayer) -> None:
        """Have the numbers of `other`; between a GPU and page-locked memory queued on the current stream."""
        for tensor, source in zip(self.tensors, other.tensors, strict=True):
            tensor.copy_(source, non_blocking=True)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.keys_values,) if self.scales is None else (self.keys_values, self.scales)

    @property
    def room(self) -> int:
        """Bytes that it takes in a block."""
        return sum(aligned(tensor.nbytes) for tensor in self.tensors)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)


@dataclass(frozen=True, eq=False)
class KVPage:
    """Keys and values of one clean chunk in all layers.

    Never written after it is made, so pages can be shared between takes.
    place: memory that all of it lies in, for as long as the page is held; None where it lies as it came.
    """

    layers: tuple[KVLayer, ...]
    place: Place | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> KVPage:
        """With every tensor it holds changed: moved, copied."""
        return KVPage(tuple(layer.map(change) for layer in self.layers))

    def to(self, device: torch.device, *, non_blocking: bool = False) -> KVPage:
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """Keep the memory until `stream` has come past what is queued on it now."""
        for layer in self.layers:
            for tensor in layer.tensors:
                tensor.record_stream(stream)

    @property
    def device(self) -> torch.device:
        return self.layers[0].keys_values.device

    @property
    def tokens(self) -> int:
        return self.layers[0].keys_values.shape[0]

    @property
    def nbytes(self) -> int:
        return sum(layer.nbytes for layer in self.layers)

    @property
    def room(self) -> int:
        """Bytes that it takes in a block."""
        return sum(layer.room for layer in self.layers)
