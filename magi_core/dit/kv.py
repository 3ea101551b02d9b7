"""Keys and values of finished chunks, as values: what the cache keeps and moves, and later chunks attend to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class KVLayer:
    """One layer's keys and values of one chunk, normalised and rotated.

    keys_values: [tokens, groups, 2 * d], K then V. scales: of a number format that needs them, [tokens, groups, 2].
    """

    keys_values: Tensor
    scales: Tensor | None = None

    @classmethod
    def of(cls, keys: Tensor, values: Tensor) -> KVLayer:
        """From keys and values [tokens, groups, d], copied and kept as they are."""
        return cls(torch.cat([keys, values], dim=-1))

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys and values [tokens, groups, d], as attention takes them."""
        keys, values = self.keys_values.chunk(2, dim=-1)
        return keys, values

    def map(self, change: Callable[[Tensor], Tensor]) -> KVLayer:
        """With every tensor it holds changed."""
        return KVLayer(change(self.keys_values), None if self.scales is None else change(self.scales))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.keys_values,) if self.scales is None else (self.keys_values, self.scales)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)


@dataclass(frozen=True, eq=False)
class KVPage:
    """Keys and values of one clean chunk in all layers.

    Never written after it is made, so pages can be shared between takes.
    """

    layers: tuple[KVLayer, ...]

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
