"""Which blocks are streamed, where not all of them find room."""

from __future__ import annotations

from collections.abc import Sequence

from magi_core.operations.streamed import SLOTS


def fewest_streamed(sizes: Sequence[int], room: int) -> frozenset[int]:
    """Which blocks of these bytes are streamed, the fewest that leave the others `room`, evenly spread so that each has
    the work of several to come beside. The larger ones are last to go. All, where that is not enough either."""
    small = [i for i, size in enumerate(sizes) if size == min(sizes)]
    for those in (small, range(len(sizes))):
        for count in range(SLOTS + 1, len(those) + 1):
            chosen = frozenset(those[i * len(those) // count] for i in range(count))
            staying = sum(size for i, size in enumerate(sizes) if i not in chosen)
            if staying + SLOTS * max(sizes[i] for i in chosen) <= room:
                return chosen
    return frozenset(range(len(sizes)))
