"""How a forward's rows are cut, so that what a block makes on its way is as wide as a piece, and no wider.

Chunks of at least `FEWEST` rows go alone. A product of two chunks may be another kernel on a GPU than one of one, with
other last bits: so, from that size on, no chunk's bits depend on how many are in flight with it.
"""

from __future__ import annotations

FEWEST, MOST = 4096, 16384  # rows that keep matrix products efficient; rows beyond which they gain nothing


def pieces(chunks: int, size: int) -> list[slice]:
    """Rows of `chunks` chunks of `size` rows, in order: whole chunks together, or equal parts of one chunk."""
    if size > MOST:
        parts = -(-size // MOST)
        borders = [chunk * size + size * part // parts for chunk in range(chunks) for part in range(parts)]
    else:
        borders = [chunk * size for chunk in range(0, chunks, -(-FEWEST // size))]
    return [slice(*pair) for pair in zip(borders, [*borders[1:], chunks * size], strict=True)]


def widest_piece(chunks: int, size: int) -> int:
    """Rows of the largest piece."""
    return max(piece.stop - piece.start for piece in pieces(chunks, size))


def frames_at_once(frames: int, per_frame: int) -> int:
    """Frames of a chunk's `frames` that are embedded together: equal parts, of `FEWEST` rows where it has them."""
    return next(n for n in range(1, frames + 1) if frames % n == 0 and (n * per_frame >= FEWEST or n == frames))
